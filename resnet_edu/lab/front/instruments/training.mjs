// Train one network: choose it, switch its shortcuts while it learns, and see what every layer does.

import { Address, readAddress } from "../parts/address.mjs";
import { ERROR, chart, curveKey, curvePanels, drawCurves, drawResponses, labelOf } from "../parts/chart.mjs";
import { DEFAULTS, connections, keyOf, nameOf, writeState } from "../parts/config.mjs";
import { button, panel, scrub, toggle } from "../parts/controls.mjs";
import { saveCsv, saveRecord } from "../parts/files.mjs";
import { Guess } from "../parts/guess.mjs";
import { Messages } from "../parts/messages.mjs";
import { network, normsAt } from "../parts/network.mjs";
import { OwnNetworks, runOf } from "../parts/own.mjs";
import { unpackAll } from "../parts/record.mjs";
import { runList } from "../parts/run-list.mjs";
import { Session } from "../parts/session.mjs";
import { settingFields } from "../parts/settings.mjs";
import { BEFORE, PLACES, origin } from "../parts/source-line.mjs";
import { openSource } from "../parts/sources.mjs";
import { colourScale, decades, stripPanel } from "../parts/strip.mjs";
import { folded, runTables } from "../parts/table.mjs";
import { html, onHide, show } from "../parts/ui.mjs";

class Training {
  constructor(el, data, tools) {
    const start = { ...DEFAULTS, ...data.config };
    const sources = tools.kernel ? ["kernel", "browser", "recording"] : ["browser", "recording"];
    const { recordings, problems } = unpackAll(data.records ?? []);
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    this.address = tools.address === false ? null : new Address(data.id);
    this.session = new Session({ config: start, sources, recordings, shown: data.shown ?? [], messages: this.messages, redraw, attached: () => el.isConnected,
      open: openSource(tools, (config) => this.session.recorded(config)) });
    this.guess = new Guess(Boolean(data.guess), () => this.session.config.steps, redraw);
    this.networks = new OwnNetworks({ tools, messages: this.messages, redraw, open: (entry) => this.session.adopt(runOf(entry)) });
    Object.assign(this, { id: data.id, datasets: data.datasets ?? [], open: false, settings: el.clientWidth > 600, link: null });
    const { named, state, problems: odd } = readAddress(this.address, start, sources);
    problems.push(...odd);
    Object.assign(this.session, { config: state.config, cursor: state.cursor, source: state.source ?? this.session.source });
    if (state.config.shortcut !== "none") this.session.kind = state.config.shortcut;
    this.guess.active ||= state.guess;
    this.session.ended = (run, end) => {
      if (run.link === "browser" && run.state === "done") this.networks.keep(run, this.session.runner("browser"));
      return this.guess.judge(end, (step) => this.session.testedAt(step));
    };
    this.session.settle();
    if (!(this.session.cursor < this.session.current?.frames.length)) this.session.cursor = null;
    if (problems.length) Object.assign(this.messages, { complaint: problems.join(" "), said: problems.join(" ") });
    this.screen = show(el, () => this.view());
    this.session.saved = () => this.address?.save(this.state()); // only after the reader did something
    if (named) el.scrollIntoView({ block: "start" });
    if (data.own) this.networks.show(data.own);
  }

  state() {
    const { config, source, cursor } = this.session;
    return writeState({ config, source, cursor, guess: this.guess.active });
  }

  choose(patch) {
    this.guess.forget();
    this.session.choose(patch);
  }

  switchAll() {
    const on = connections(this.session.config).some(Boolean);
    this.choose({ shortcut: on ? "none" : this.session.kind, switches: [] });
    this.messages.announce(`Shortcuts ${on ? "off" : "on"}. ${this.session.summary()}`);
  }

  guessFirst() {
    this.guess.active = !this.guess.active;
    this.guess.forget();
    if (this.guess.active) this.session.stop();
    this.session.changed();
  }

  showMe(event) {
    this.guess.show();
    if (!this.session.begin(true, null, "Training starts; your guess stays as a dotted line.")) return;
    this.session.changed();
    event.target.closest(".rl").querySelector(".rl-primary").focus();
  }

  single() {
    this.guess.active = false;
    this.session.single();
  }

  trainOn({ file }) {
    this.session.begin(true, file, "Training goes on from the weights of your network.");
    this.session.changed();
  }

  reset() {
    this.guess.forget();
    this.session.reset();
  }

  async copy(event) {
    this.session.saved();
    const link = this.address.link(this.state());
    try {
      await navigator.clipboard.writeText(link);
      this.messages.announce("Link copied.", true);
    } catch {
      this.link = link;
      this.session.redraw();
      const box = event.target.parentElement.querySelector(".rl-link");
      setTimeout(() => (box.focus(), box.select()), 100);
    }
  }

  view() {
    const { session, messages, guess } = this;
    const run = session.current, step = session.step;
    const runs = [...session.runs.filter((one) => one !== run), ...(run ? [run] : [])];
    const twin = (run) => runs.some((one) => one !== run && one.link && run.source === "recording" && keyOf(one.config) === keyOf(run.config));
    const shown = guess.active ? [] : runs.map((one) => Object.assign(one, { label: twin(one) ? "" : labelOf(one) })); // no name twice
    const scale = decades(shown);
    return html`<div class="rl ${guess.active ? "rl-guessing" : ""}" role="group" aria-label="Lab: training with and without shortcuts">
      ${this.bar()}${this.fields()}${messages.view()}${this.summary()}${guess.bar((event) => this.showMe(event))}${this.curves(shown)}${curveKey}${this.scrubber()}
      <div class="rl-details">${panel("The network", "press a block to cut or restore its shortcut", html`${this.network(scale)}${colourScale("gradient norm", scale)}`)}</div>
      <div class="rl-columns rl-details">${stripPanel(guess.active ? null : run, step, session.config.steps, scale)}
        ${panel("Response size per block", "on a logarithmic scale", html`${chart("Chart of the response sizes. The figures are in the tables below.", (box) => drawResponses(box, shown, step || 1))}
          <p class="rl-key">Standard deviation of what a block computes, before its shortcut is added.</p>`)}</div>
      <div class="rl-details">${panel("Runs", "choose which one the views show", runList(`${this.id}-run`, runs, run, (one) => session.pickRun(one), (one) => session.drop(one)))}</div>
      ${this.actions()}${this.networks.view(run?.own)}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; session.redraw(); }, () => (run?.frames.length && !guess.active
    ? runTables(run, nameOf(run.config), step) : html`<p>Nothing trained yet.</p>`))}${messages.live()}</div>`;
  }

  bar() {
    const { session, guess } = this;
    const text = session.running ? "❚❚ Pause" : session.own?.frames.length ? "▶ Continue"
      : session.source === "recording" ? "▶ Replay the recording" : `▶ Train in ${PLACES[session.source]}`;
    return html`<div class="rl-bar">${button(text, (event) => (guess.active ? this.showMe(event) : session.toggle()), { main: true, running: session.running })}
      ${button("Step", () => this.single(), { title: "Train one step" })}${button("Reset", () => this.reset(), { title: "Back to the start" })}
      ${toggle("Shortcuts", connections(session.config).some(Boolean), () => this.switchAll())}<span class="rl-space"></span>
      ${button("Guess first", () => this.guessFirst(), { pressed: guess.active, title: "Draw the curve that you expect before you see it" })}</div>`;
  }

  fields() {
    return settingFields(this.session, { messages: this.messages, datasets: this.datasets, open: this.settings, choose: (patch) => this.choose(patch) });
  }

  summary() {
    const { session, guess, messages } = this;
    const words = guess.active ? `${nameOf(session.config)}.` : session.summary();
    const from = messages.note || (guess.active ? "" : session.current ? origin(session.current) : BEFORE);
    return html`<output class="rl-summary" aria-live="off"><strong>${words}</strong> <span class="rl-soft">${from}</span>${guess.active || !guess.verdict ? "" : html`<span> ${guess.verdict}</span>`}</output>`;
  }

  curves(shown) {
    const { session, guess } = this;
    const spec = { steps: session.config.steps, cursor: guess.active || !session.step ? null : session.step };
    return curvePanels(guess.active ? nameOf(session.config) : session.summary(), (box, kind) => {
      const place = drawCurves(box, shown, { ...spec, ...kind, guess: kind === ERROR ? guess.curve() : null });
      if (kind === ERROR) guess.place = place;
    }, (error) => guess.area(error));
  }

  scrubber() {
    const { session, guess } = this;
    const last = session.current?.frames.length ?? 0;
    return scrub({ step: session.step, last, steps: session.config.steps, disabled: !last || guess.active, left: () => session.saved(), move: (step) => {
      session.cursor = step >= last ? null : step;
      session.redraw();
    } });
  }

  network(scale) {
    const { session } = this;
    const on = connections(session.current?.config ?? session.config, session.cursor === null ? Infinity : session.step);
    return network(session.config, on, this.guess.active ? null : normsAt(session.current, session.step), scale, (block) => session.flip(block));
  }

  actions() {
    const run = this.session.current;
    const none = !run?.frames.length || this.guess.active;
    const own = run?.source === "own" && this.session.source === "browser";
    return html`<div class="rl-bar rl-actions">${own ? button("Train on from these weights", () => this.trainOn(run)) : ""}${this.address ? button("Copy link", (event) => this.copy(event)) : ""}
      ${button("Download JSON", () => saveRecord(run), { disabled: none })}${button("Download CSV", () => saveCsv(run), { disabled: none })}
      <input class="rl-link" readonly ?hidden=${!this.link} aria-label="Link to this state" .value=${this.link ?? ""}></div>`;
  }
}

/** Mount in `el`; `data`: id, config, records, shown, guess. Returns what ends it. */
export function mount(el, data, tools) {
  const training = new Training(el, data, tools);
  const end = onHide(() => training.session.hide());
  return () => {
    end();
    training.screen.close();
    training.networks.close();
    training.session.close();
  };
}
