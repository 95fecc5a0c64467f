// Race: twins of equal weights and batches, one with shortcuts and one without, train side by side in two Workers.

import { Address } from "../parts/address.mjs";
import { ERROR, LOSS, chart, curveKey, drawCurves, labelOf } from "../parts/chart.mjs";
import { CHOICES, DEFAULTS, keyOf, readState, readValue, writeState } from "../parts/config.mjs";
import { button, numberField, panel, scrub, select } from "../parts/controls.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, percent, say } from "../parts/numbers.mjs";
import { OwnNetworks } from "../parts/own.mjs";
import { unpackAll } from "../parts/record.mjs";
import { Runner, newRun } from "../parts/runner.mjs";
import { BEFORE, origin, timeLeft } from "../parts/source-line.mjs";
import { openSource } from "../parts/sources.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, show } from "../parts/ui.mjs";

const TWINS = ["none", "A"]; // drawn in this order: with shortcuts in front
const MORE = 3; // further seeds at a press
const testedBy = (run, step) => run.frames.slice(0, step).findLast((frame) => frame.test_error !== undefined)?.test_error ?? null;
const range = (values) => (values.length === 1 ? `${percent(values[0])} %` : `${percent(Math.min(...values))} to ${percent(Math.max(...values))} %`);

class Race {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    const { recordings, problems } = unpackAll(data.records ?? []);
    const messages = new Messages(redraw);
    Object.assign(this, { el, data, tools, recordings, messages, redraw, config: { ...DEFAULTS, ...data.config }, lanes: [], live: false, waiting: 0, cursor: null, open: false, saved: () => {} });
    this.address = tools.address === false ? null : new Address(data.id);
    const mine = this.address?.read() ?? null;
    if (mine !== null) {
      const read = readState(mine, this.config, ["browser"]);
      Object.assign(this, { config: { ...read.state.config, switches: [] }, cursor: read.state.cursor });
      if (read.problems.length) problems.push(`This address was not understood in full. ${read.problems.join(" ")} The rest was used.`);
    }
    this.runners = TWINS.map(() => new Runner(() => openSource(tools)("browser"), {
      taken: redraw, notice: () => {}, wanted: () => el.isConnected, ended: (run, message) => this.ended(run, message),
      failed: (error) => this.failed(error.message),
    }));
    this.networks = new OwnNetworks({ tools, messages, redraw, open: (entry) => this.leave(entry) });
    this.settle();
    if (problems.length) Object.assign(messages, { complaint: problems.join(" "), said: problems.join(" ") });
    this.screen = show(el, () => this.view());
    this.saved = () => this.address?.save(writeState({ config: this.config, source: "browser", cursor: this.cursor, guess: false }));
    if (mine !== null) el.scrollIntoView({ block: "start" });
  }

  /** Show recordings of the present choice, or an empty start. A lane lists a twin's runs, one a seed. */
  settle() {
    const made = TWINS.map((shortcut) => this.recordings.find((run) => keyOf(run.config) === keyOf({ ...this.config, shortcut })));
    Object.assign(this, { lanes: made.map((run) => (run ? [run] : [])), live: false, waiting: 0 });
    this.saved();
    this.redraw();
  }

  get runs() {
    return this.lanes.flat();
  }

  get running() {
    return this.live && this.runs.some(({ state }) => state === "running");
  }

  get paused() {
    return this.live && this.runs.some(({ state }) => state === "paused");
  }

  get last() {
    return Math.max(0, ...this.lanes.map(([run]) => run?.frames.length ?? 0));
  }

  get step() {
    return this.cursor ?? this.last;
  }

  /** Let `run(runner, run)` act on the run of each lane that is at work. */
  each(state, act) {
    this.lanes.forEach((lane, index) => lane.filter((run) => run.state === state).slice(-1).forEach((run) => act(this.runners[index], run)));
    this.redraw();
  }

  begin(play) {
    this.messages.complain("");
    Object.assign(this, { live: true, waiting: 0, cursor: null, lanes: TWINS.map((shortcut) => [newRun({ ...this.config, shortcut, switches: [] }, "browser", play)]) });
    this.lanes.forEach(([run], index) => this.runners[index].start(run));
    this.saved();
  }

  press() {
    if (this.running) {
      this.each("running", (runner, run) => runner.pause(run));
      this.messages.announce(`Both paused at step ${this.last}.`);
    } else if (this.paused) {
      this.each("paused", (runner, run) => runner.play(run));
      this.messages.announce("Both go on.");
    } else {
      this.begin(true);
      this.messages.announce(`Both twins start: ${this.config.depth} layers, seed ${this.config.seed}.`);
    }
  }

  single() {
    this.each("running", (runner, run) => runner.pause(run));
    if (!this.paused) this.begin(false);
    this.cursor = null;
    this.each("paused", (runner, run) => runner.step(run));
  }

  reset() {
    this.each("running", (runner, run) => runner.pause(run));
    this.cursor = null;
    this.messages.complain("");
    this.settle();
    this.messages.announce(`Reset. ${this.summary()}`);
  }

  choose(patch) {
    const playing = this.running;
    this.each("running", (runner, run) => runner.pause(run));
    this.messages.complain("");
    Object.assign(this, { config: { ...this.config, ...patch }, cursor: null });
    this.settle();
    if (playing) this.begin(true);
  }

  /** Train further seeds in both lanes, one after the other. */
  more() {
    if (!this.live) this.begin(true);
    this.waiting += MORE;
    this.messages.announce(`${count(MORE, "more seed")}: thin lines, and a band from the lowest to the highest.`);
    this.lanes.forEach((lane, index) => lane.at(-1).state === "done" && this.next(index));
    this.redraw();
  }

  next(index) {
    const lane = this.lanes[index];
    if (lane.length > this.waiting) return;
    const { config } = lane[0];
    lane.push(newRun({ ...config, seed: (config.seed + lane.length) % 100000 }, "browser", true, { thin: true }));
    this.runners[index].start(lane.at(-1));
  }

  ended(run, message) {
    const index = this.lanes.findIndex((lane) => lane.includes(run));
    if (run.state === "failed") this.failed(message);
    if (run.state === "done" && !run.thin) this.networks.keep(run, this.runners[index]);
    if (index >= 0 && run.state !== "failed") this.next(index);
    if (this.runs.every(({ state }) => state === "done")) this.messages.announce(`Finished. ${this.summary()}`);
  }

  failed(text) {
    this.messages.complain(text);
    this.messages.announce(text);
  }

  hide() {
    if (document.hidden && this.running) {
      this.hidden = true;
      this.each("running", (runner, run) => runner.pause(run));
    } else if (!document.hidden && this.hidden) {
      this.hidden = false;
      this.each("paused", (runner, run) => runner.play(run));
      this.messages.announce("Training waited while this tab was hidden, and goes on.", true);
    }
  }

  /** The test errors of a lane at the step shown: of its first seed, and of those that got so far. */
  errors(lane) {
    return lane.filter((run) => !run.thin || run.frames.length >= this.step).map((run) => testedBy(run, this.step)).filter((error) => error !== null);
  }

  summary() {
    const [without, with_] = this.lanes.map((lane) => this.errors(lane));
    const layers = `${this.config.depth} layers`;
    if (!without.length || !with_.length) return `${layers}, with and without shortcuts: ${this.last ? `not tested yet after ${count(this.step)}` : "not trained yet"}.`;
    const seeds = Math.min(without.length, with_.length);
    return `${layers}: test error ${range(with_.slice(0, seeds))} with shortcuts, ${range(without.slice(0, seeds))} without, after ${count(this.step)}${seeds > 1 ? ` (${seeds} seeds)` : ""}.`;
  }

  source() {
    const run = this.lanes[1].at(-1);
    if (this.messages.note || !run) return this.messages.note || BEFORE;
    const runs = this.lanes.map((lane) => lane.at(-1));
    const [without, with_] = runs.map((one) => one.speed);
    const [slowest] = runs.filter(({ state }) => state === "running").sort((a, b) => a.speed - b.speed);
    const speed = this.running && without && with_ ? ` ${say(with_)} steps/s with and ${say(without)} without shortcuts, in two Workers; ${timeLeft(slowest)}.` : "";
    return `${origin({ ...run, speed: 0 })}${speed}`;
  }

  view() {
    const { config, messages } = this;
    const text = this.running ? "❚❚ Pause both" : this.paused ? "▶ Continue" : "▶ Train both twins";
    const typed = (text) => {
      const [seed, rule] = readValue("seed", text);
      if (rule) messages.complain(`“Seed”: ${rule.replace("seed", "it")}. It stays at ${config.seed}.`);
      else this.choose({ seed });
      return rule;
    };
    return html`<div class="rl" role="group" aria-label="Race: twins with and without shortcuts"><div class="rl-bar">
      ${button(text, () => this.press(), { main: true, running: this.running })}${button("Step", () => this.single(), { title: "Train both by one step" })}
      ${button("Reset", () => this.reset(), { title: "Back to the start" })}${button("Three more seeds", () => this.more(), { title: "Train the same twins from other weights", disabled: this.lanes[0].length > 12 })}
      <span class="rl-space"></span>${select("Depth", CHOICES.depth.map((depth) => [depth, `${depth} layers`]), config.depth, (depth) => this.choose({ depth }))}
      ${numberField("Seed", "1", config.seed, typed)}</div>
      ${messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${this.source()}</span></output>
      ${this.curves()}${curveKey}${scrub({ step: this.step, last: this.last, steps: config.steps, disabled: !this.last, left: () => this.saved(), move: (step) => {
    this.cursor = step >= this.last ? null : step;
    this.redraw();
  } })}
      <div class="rl-bar rl-actions">${button("One network, block by block", () => this.leave(), { title: "Train a single network: switch its shortcuts, see every layer" })}</div>${this.networks.view()}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, () => this.table())}${messages.live()}</div>`;
  }

  curves() {
    const runs = this.lanes.flatMap((lane) => lane.slice(1)).concat(this.lanes.flatMap((lane) => lane.slice(0, 1)));
    for (const run of runs) run.label = run.thin ? "" : labelOf(run);
    const spec = { steps: this.config.steps, cursor: this.last ? this.step : null, fronts: 2, bands: this.lanes.filter((lane) => lane.length > 1) };
    const words = `Chart of the error. ${this.summary()}`;
    return html`<div class="rl-columns rl-curves">${panel("Error", "in percent", chart(words, (box) => drawCurves(box, runs, { ...spec, ...ERROR })))}
      ${panel("Loss", "cross-entropy in nats", chart("Chart of the loss.", (box) => drawCurves(box, runs, { ...spec, ...LOSS })))}</div>`;
  }

  table() {
    const steps = [...new Set(this.runs.flatMap(({ frames }) => frames.filter((frame) => frame.test_error !== undefined).map((frame) => frame.step)))].sort((a, b) => a - b);
    const cell = (run, step) => percent(run.frames[step - 1]?.test_error ?? NaN);
    return this.runs.length ? table("Test error in percent", ["Step", ...this.runs.map((run) => `${labelOf(run)}, seed ${run.config.seed}`)],
      steps.map((step) => [step, ...this.runs.map((run) => cell(run, step))])) : html`<p>Nothing trained yet.</p>`;
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
    this.each("running", (runner, run) => runner.pause(run));
    for (const runner of this.runners) runner.queue.then(() => runner.close());
    this.screen.close();
    this.networks.close();
  }
}

/** Mount in `el`; `data`: id, config, records. Returns what ends it. */
export function mount(el, data, tools) {
  const race = new Race(el, data, tools);
  const hide = () => race.hide();
  document.addEventListener("visibilitychange", hide);
  return () => {
    document.removeEventListener("visibilitychange", hide);
    race.close();
  };
}
