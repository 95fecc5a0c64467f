// Beat the shortcut: three tries to make a plain network of 56 layers learn as well as the one with shortcuts.

import { ERROR, chart, curveKey, drawCurves } from "../parts/chart.mjs";
import { DEFAULTS } from "../parts/config.mjs";
import { button, select } from "../parts/controls.mjs";
import { Field, settled } from "../parts/field.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, percent } from "../parts/numbers.mjs";
import { unpackAll } from "../parts/record.mjs";
import { dots, endError, nextSeeds, sayMean, statistics } from "../parts/seeds.mjs";
import { origin } from "../parts/source-line.mjs";
import { table } from "../parts/table.mjs";
import { trainingError } from "../parts/training-error.mjs";
import { html, nothing, show } from "../parts/ui.mjs";

const TRIES = 3;
const PLACE = "resnet-edu beat"; // of the best score, in the browser's storage
const LEVERS = { // name in a configuration: what may be chosen
  learning_rate: ["Learning rate", [0.001, 0.003, 0.01, 0.03, 0.1, 0.3].map((rate) => [rate, String(rate)])],
  steps: ["Steps", []],
  normalization: ["Batch norm", [["batch", "on"], ["none", "off"]]],
  identity_start: ["First weights", [["", "He’s"], [0.3, "identity + 0.3 of He’s"], [0.1, "identity + 0.1 of He’s"]]],
  clip_norm: ["Clip the gradient", [[0, "no"], [1, "at norm 1"], [0.1, "at norm 0.1"]]],
};

/** Read and keep the best score; a browser that blocks storage keeps it for this visit alone. */
const shelf = {
  read() {
    try {
      const { error, words } = JSON.parse(localStorage.getItem(PLACE));
      return Number.isFinite(error) && typeof words === "string" ? { error, words: words.slice(0, 200), kept: true } : null;
    } catch {
      return null;
    }
  },
  write(score) {
    try {
      localStorage.setItem(PLACE, JSON.stringify(score));
      return { ...score, kept: true };
    } catch {
      return { ...score, kept: false };
    }
  },
};

/** What a try changed, in words. */
function wordsOf({ learning_rate: rate, steps, normalization, identity_start: start, clip_norm: clip }) {
  return [`rate ${rate}`, count(steps), normalization === "none" ? "no batch norm" : "", start ? `identity + ${start} of He’s start` : "", clip ? `clipped at ${clip}` : ""].filter(Boolean).join(", ");
}

class Beat {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    const { recordings, problems } = unpackAll(data.records);
    const messages = new Messages(redraw);
    const base = { ...DEFAULTS, ...data.config };
    const chosen = { learning_rate: base.learning_rate, steps: base.steps, normalization: "batch", identity_start: "", clip_norm: 0 };
    Object.assign(this, { recordings, messages, redraw, base, chosen, tries: [], score: shelf.read() });
    this.field = new Field({ tools, messages, redraw, done: (run) => this.ended(run) });
    this.levers = { ...LEVERS, steps: ["Steps", [1, 2, 4].map((times) => [times * base.steps, String(times * base.steps)])] };
    if (problems.length) messages.complain(problems.join(" "));
    this.screen = show(el, () => this.view());
  }

  /** The configuration of a try; what is left as it was does not stand in it. */
  configOf({ identity_start: start, clip_norm: clip, ...rest }, shortcut = "none") {
    return { ...this.base, ...rest, shortcut, ...(start ? { identity_start: start } : {}), ...(clip ? { clip_norm: clip } : {}) };
  }

  jobs() {
    return [{ key: `try ${this.tries.length + 1}`, config: this.configOf(this.chosen) }];
  }

  /** The best try, the network to beat, and the twin of the try that has shortcuts as well, all with the same seeds. */
  moreJobs() {
    const { config } = this.best;
    const groups = { try: config, target: { ...this.base, shortcut: "A" }, twin: { ...config, shortcut: "A" } };
    const wanted = this.seeds("try").length + 3;
    return Object.entries(groups).flatMap(([name, one]) => {
      const have = this.seeds(name).length;
      return nextSeeds(one, have, wanted - have).map((next) => ({ key: `${name} seed ${next.seed}`, config: next }));
    });
  }

  get best() {
    return this.tries.filter(({ state }) => state === "done").sort((a, b) => trainingError(a) - trainingError(b))[0] ?? null;
  }

  /** Training errors of the further seeds of "try", "target" or "twin"; those of the try begin with its own. */
  seeds(name) {
    const more = [...this.field.runs.values()].filter(({ key, state }) => state === "done" && key.startsWith(`${name} seed`)).map(trainingError);
    return name === "try" && this.best ? [trainingError(this.best), ...more] : more;
  }

  ended(run) {
    if (run.key.includes("seed")) {
      if (settled(this.field)) this.messages.announce(this.verdict());
    } else if (run.state === "done" || run.state === "failed") {
      this.tries.push(run);
      const error = run.state === "done" ? trainingError(run) : Infinity;
      if (error < (this.score?.error ?? Infinity)) this.score = shelf.write({ error, words: wordsOf(run.config) });
      this.messages.announce(this.summary());
    }
    this.redraw();
  }

  again() {
    this.field.forget();
    this.tries = [];
    this.messages.announce("Three new tries.");
    this.redraw();
  }

  get target() {
    return this.recordings.find(({ config }) => config.shortcut !== "none");
  }

  summary() {
    const run = this.tries.at(-1);
    const { base, target } = this;
    const goal = target ? `${percent(trainingError(target))} % training error` : "the network with shortcuts";
    if (!run) return `Plain-${base.depth} is stuck; with shortcuts it reaches ${goal} in ${count(base.steps)}. You have ${TRIES} tries without shortcuts.`;
    const left = TRIES - this.tries.length;
    const ended = run.state === "done" ? `${percent(trainingError(run))} % training error, ${percent(endError(run))} % test error` : `it did not end: ${run.message}`;
    return `Try ${this.tries.length} (${wordsOf(run.config)}): ${ended}. To beat: ${goal}. ${left > 0 ? `${left} of ${TRIES} left.` : this.verdict()}`;
  }

  /** Whether the best try beats the target, by as many seeds as there are. */
  verdict() {
    const { best, target } = this;
    if (!best) return "No try ended.";
    const [own, other] = [this.seeds("try"), this.seeds("target")];
    const goal = other.length ? statistics(other).mean : trainingError(target ?? best);
    const word = statistics(own).mean <= goal ? "The shortcut is beaten" : "The shortcut is not beaten";
    return `${word}: ${sayMean(own)} against ${other.length ? sayMean(other) : `${percent(goal)} % (recorded, n = 1)`}.`;
  }

  scoreLine() {
    if (!this.score) return "No score yet.";
    const { error, words, kept } = this.score;
    return `Your best so far: ${percent(error)} % (${words})${kept ? "" : "; this browser blocks storage, so it is kept for this visit only"}.`;
  }

  view() {
    const over = this.tries.length >= TRIES;
    const { running } = this.field;
    const field = ([name, [label, options]]) => select(label, options, this.chosen[name], (picked) => { this.chosen = { ...this.chosen, [name]: picked }; this.redraw(); }, running || over);
    return html`<div class="rl" role="group" aria-label="Beat the shortcut: three tries for a plain network"><p class="rl-title">Make plain-${this.base.depth} learn<small>three tries, no shortcuts</small></p>
      <div class="rl-settings rl-choices">${Object.entries(this.levers).map(field)}</div>
      <div class="rl-bar">${over ? (this.best ? this.field.bar("Three more seeds", () => this.moreJobs()) : nothing) : this.field.bar(`Try ${this.tries.length + 1} of ${TRIES}`, () => this.jobs())}
      ${button("Three new tries", () => this.again(), { disabled: !this.tries.length || running })}</div>
      ${this.messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${this.scoreLine()} ${this.source()}</span></output>
      ${this.curves()}${this.tries.length ? this.table() : nothing}${this.points()}${this.messages.live()}</div>`;
  }

  source() {
    const run = [...this.field.runs.values()].find(({ device }) => device);
    const own = run ? `Trained in this browser (${run.device}), seed ${this.base.seed}; training error over the last epoch. ` : "";
    return `${own}${this.target ? `Shortcuts: ${origin(this.target)}` : ""}`;
  }

  curves() {
    const mine = [...this.field.runs.values()].filter((run) => run.frames.length && !run.key.includes("seed"));
    const runs = [...this.recordings.map((run) => ({ ...run, label: run.config.shortcut === "none" ? "plain" : "shortcuts" })), ...mine.map((run) => ({ ...run, label: run.key }))];
    const steps = Math.max(...runs.map(({ config }) => config.steps));
    return html`${chart(`Error over the steps of ${count(runs.length, "run")}. ${this.summary()}`, (box) => drawCurves(box, runs, { ...ERROR, steps, cursor: null }))}${curveKey}`;
  }

  table() {
    const line = (name, run) => [name, wordsOf(run.config), run.state === "failed" ? "diverged" : percent(trainingError(run)), run.state === "failed" ? "–" : percent(endError(run))];
    return table("Your tries; errors in percent", ["Try", "Levers", "Training", "Test"], [...this.recordings.map((run) => line(`${run.config.shortcut === "none" ? "plain" : "with shortcuts"}, recorded`, run)), ...this.tries.map((run, n) => line(String(n + 1), run))]);
  }

  points() {
    const found = [["try", "your best try", "off"], ["target", "with shortcuts", "on"], ["twin", "shortcut + yours", "on"]].map(([name, text, style]) => ({ name: text, style, values: this.seeds(name) }));
    if (!found[1].values.length) return nothing;
    return html`${dots("Training error", found, { unit: " %", low: 0, high: 100 })}<p class="rl-key">${found.map(({ name, values }) => `${name}: ${sayMean(values)}`).join("; ")}.</p>`;
  }

  close() {
    this.field.close();
    this.screen.close();
  }
}

/** Mount in `el`; `data`: id, config, records (of the plain network and its twin). Returns what ends it. */
export function mount(el, data, tools) {
  const one = new Beat(el, data, tools);
  return () => one.close();
}
