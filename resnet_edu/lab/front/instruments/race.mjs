// Race: twins of equal weights and batches, one with shortcuts and one without, train side by side in two Workers.

import { Address, readAddress } from "../parts/address.mjs";
import { curveKey, curvePanels, drawCurves, labelOf } from "../parts/chart.mjs";
import { CHOICES, DEFAULTS, keyOf, writeState } from "../parts/config.mjs";
import { button, scrub, select } from "../parts/controls.mjs";
import { Lanes } from "../parts/lanes.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, say } from "../parts/numbers.mjs";
import { OwnNetworks } from "../parts/own.mjs";
import { unpackAll } from "../parts/record.mjs";
import { sayRange } from "../parts/seeds.mjs";
import { numberSetting } from "../parts/settings.mjs";
import { BEFORE, origin, timeLeft } from "../parts/source-line.mjs";
import { errorTable, folded } from "../parts/table.mjs";
import { html, onHide, show } from "../parts/ui.mjs";

const TWINS = ["none", "A"]; // drawn in this order: with shortcuts in front
const MORE = 3; // further seeds at a press

class Race {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    const { recordings, problems } = unpackAll(data.records ?? []);
    const messages = new Messages(redraw);
    this.address = tools.address === false ? null : new Address(data.id);
    const { named, state, problems: odd } = readAddress(this.address, { ...DEFAULTS, ...data.config }, ["browser"]);
    problems.push(...odd);
    Object.assign(this, { el, data, tools, recordings, messages, redraw, config: { ...state.config, switches: [] }, cursor: state.cursor, open: false, saved: () => {} });
    this.race = new Lanes(tools, TWINS.length, { redraw, attached: () => el.isConnected, on: {
      ended: (run, runner) => run.thin || this.networks.keep(run, runner),
      finished: () => messages.announce(`Finished. ${this.summary()}`),
      failed: (text) => {
        messages.complain(text);
        messages.announce(text);
      },
    } });
    this.networks = new OwnNetworks({ tools, messages, redraw, open: (entry) => this.leave(entry) });
    this.settle();
    if (problems.length) Object.assign(messages, { complaint: problems.join(" "), said: problems.join(" ") });
    this.screen = show(el, () => this.view());
    this.saved = () => this.address?.save(writeState({ config: this.config, source: "browser", cursor: this.cursor, guess: false }));
    if (named) el.scrollIntoView({ block: "start" });
  }

  /** Show recordings of the present choice, or an empty start. */
  settle() {
    this.race.settle(TWINS.map((shortcut) => this.recordings.find((run) => keyOf(run.config) === keyOf({ ...this.config, shortcut }))));
    this.saved();
  }

  get step() {
    return this.cursor ?? this.race.last;
  }

  begin(play) {
    this.messages.complain("");
    this.cursor = null;
    this.race.begin(TWINS.map((shortcut) => ({ ...this.config, shortcut, switches: [] })), play);
    this.saved();
  }

  press() {
    const { race, messages } = this;
    if (race.running) {
      race.pause();
      messages.announce(`Both paused at step ${race.last}.`);
    } else if (race.paused) {
      race.play();
      messages.announce("Both go on.");
    } else {
      this.begin(true);
      messages.announce(`Both twins start: ${this.config.depth} layers, seed ${this.config.seed}.`);
    }
  }

  single() {
    this.race.pause();
    if (!this.race.paused) this.begin(false);
    this.cursor = null;
    this.race.step();
  }

  reset() {
    this.race.pause();
    this.cursor = null;
    this.messages.complain("");
    this.settle();
    this.messages.announce(`Reset. ${this.summary()}`);
  }

  choose(patch) {
    const playing = this.race.running;
    this.race.pause();
    this.messages.complain("");
    Object.assign(this, { config: { ...this.config, ...patch }, cursor: null });
    this.settle();
    if (playing) this.begin(true);
  }

  more() {
    if (!this.race.live) this.begin(true);
    this.race.more(MORE);
    this.messages.announce(`${count(MORE, "more seed")}: thin lines, and a band from the lowest to the highest.`);
  }

  hide() {
    if (this.race.hide()) this.messages.announce("Training waited while this tab was hidden, and goes on.", true);
  }

  summary() {
    const { race, step } = this;
    const [without, with_] = race.lanes.map((lane) => race.errors(lane, step));
    const layers = `${this.config.depth} layers`;
    if (!without.length || !with_.length) return `${layers}, with and without shortcuts: ${race.last ? `not tested yet after ${count(step)}` : "not trained yet"}.`;
    const seeds = Math.min(without.length, with_.length);
    return `${layers}: test error ${sayRange(with_.slice(0, seeds))} with shortcuts, ${sayRange(without.slice(0, seeds))} without, after ${count(step)}${seeds > 1 ? ` (${seeds} seeds)` : ""}.`;
  }

  source() {
    const { lanes, running } = this.race;
    const run = lanes[1].at(-1);
    if (this.messages.note || !run) return this.messages.note || BEFORE;
    const [without, with_] = lanes.map((lane) => lane.at(-1)?.speed);
    const [slowest] = lanes.map((lane) => lane.at(-1)).filter((one) => one?.state === "running").sort((a, b) => a.speed - b.speed);
    const speed = running && without && with_ ? ` ${say(with_)} steps/s with and ${say(without)} without shortcuts, in two Workers; ${timeLeft(slowest)}.` : "";
    return `${origin({ ...run, speed: 0 })}${speed}`;
  }

  view() {
    const { config, messages, race } = this;
    const text = race.running ? "❚❚ Pause both" : race.paused ? "▶ Continue" : "▶ Train both twins";
    const choose = (patch) => this.choose(patch);
    return html`<div class="rl" role="group" aria-label="Race: twins with and without shortcuts"><div class="rl-bar">
      ${button(text, () => this.press(), { main: true, running: race.running })}${button("Step", () => this.single(), { title: "Train both by one step" })}
      ${button("Reset", () => this.reset(), { title: "Back to the start" })}${button("Three more seeds", () => this.more(), { title: "Train the same twins from other weights", disabled: race.lanes[0].length > 12 })}
      <span class="rl-space"></span>${select("Depth", CHOICES.depth.map((depth) => [depth, `${depth} layers`]), config.depth, (depth) => choose({ depth }))}
      ${numberSetting("seed", "Seed", "1", { config, messages, choose })}</div>
      ${messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${this.source()}</span></output>
      ${this.curves()}${curveKey}${scrub({ step: this.step, last: race.last, steps: config.steps, disabled: !race.last, left: () => this.saved(), move: (step) => {
    this.cursor = step >= race.last ? null : step;
    this.redraw();
  } })}
      <div class="rl-bar rl-actions">${button("One network, block by block", () => this.leave(), { title: "Train a single network: switch its shortcuts, see every layer" })}</div>${this.networks.view()}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, () => errorTable(race.runs, labelOf))}${messages.live()}</div>`;
  }

  curves() {
    const { lanes, last } = this.race;
    const runs = lanes.flatMap((lane) => lane.slice(1)).concat(lanes.flatMap((lane) => lane.slice(0, 1)));
    for (const run of runs) run.label = run.thin ? "" : labelOf(run);
    const spec = { steps: this.config.steps, cursor: last ? this.step : null, fronts: TWINS.length, bands: lanes.filter((lane) => lane.length > 1) };
    return curvePanels(this.summary(), (box, kind) => drawCurves(box, runs, { ...spec, ...kind }));
  }

  /** The lab for one network takes this place. */
  async leave(own = null) {
    const box = document.createElement("div");
    this.close();
    this.el.replaceWith(box);
    await this.tools.mountIn(box, "training", { ...this.data, own }, this.tools);
    box.querySelector("button")?.focus();
  }

  close() {
    this.race.close();
    this.screen.close();
    this.networks.close();
  }
}

/** Mount in `el`; `data`: id, config, records. Returns what ends it. */
export function mount(el, data, tools) {
  const race = new Race(el, data, tools);
  const end = onHide(() => race.hide());
  return () => {
    end();
    race.close();
  };
}
