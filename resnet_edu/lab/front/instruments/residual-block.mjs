// Two stacks of blocks, with and without shortcuts, learn a map: to stay, or to move every channel on by one.

import { button, field, numberField, panel, select } from "../parts/controls.mjs";
import { Field } from "../parts/field.mjs";
import { logChart } from "../parts/log-chart.mjs";
import { Messages } from "../parts/messages.mjs";
import { say } from "../parts/numbers.mjs";
import { geometricMean } from "../parts/seeds.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, show, value } from "../parts/ui.mjs";

const TARGETS = { stay: "Stay: give back what came in", "move on": "Move on: hand each channel to the next" };
const KINDS = { A: ["residual", "on"], none: ["plain", "off"] };
const START = { blocks: 3, learning_rate: 0.1, last_scale: 1, normalization: "batch" };
// What resnet_edu's chapter uses: 8 channels of 6×6, batches of 16, no weight decay.
const FIXED = { task: "stack", width: 8, size: 6, batch_size: 16, steps: 150, weight_decay: 0 };
const LAST = 10; // steps at the end whose geometric mean counts
const ended = (run) => (run.state === "done" ? geometricMean(run.frames.slice(-LAST).map(({ loss }) => loss)) : NaN);
const range = (values) => (values.length === 1 ? say(values[0]) : `${say(Math.min(...values))} to ${say(Math.max(...values))}`);

class Stacks {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    Object.assign(this, { redraw, settings: { ...START }, open: false, messages: new Messages(redraw) });
    this.field = new Field({ tools, messages: this.messages, redraw, done: () => this.ended() });
    this.screen = show(el, () => this.view());
    this.work = this.field.start(this.jobs([1]));
  }

  /** Both tasks, with and without shortcuts, for these seeds. */
  jobs(seeds) {
    return seeds.flatMap((seed) => Object.keys(TARGETS).flatMap((target) => Object.keys(KINDS).map((shortcut) => {
      const config = { ...FIXED, ...this.settings, depth: 2 * this.settings.blocks + 2, target, shortcut, seed };
      return { key: JSON.stringify(config), config };
    })));
  }

  /** The runs of one stack on one task under the present settings, a seed each. */
  runs(target, shortcut) {
    const wanted = { ...this.settings, target, shortcut };
    return [...this.field.runs.values()].filter(({ config }) => Object.entries(wanted).every(([key, one]) => config[key] === one));
  }

  get seeds() {
    return this.runs("stay", "A").filter(({ state }) => state === "done" || state === "failed").length;
  }

  ended() {
    if ([...this.field.runs.values()].some(({ state }) => state === "waiting" || state === "running")) return;
    this.messages.announce(Object.keys(TARGETS).map((target) => this.result(target)).join(" "));
  }

  /** Take in other settings, and train under them at once: it takes about a second. */
  async choose(patch) {
    this.field.stop();
    this.settings = { ...this.settings, ...patch };
    this.redraw();
    await this.work;
    this.work = this.field.start(this.jobs([1]));
  }

  result(target) {
    const [with_, without] = Object.keys(KINDS).map((shortcut) => this.runs(target, shortcut));
    const ends = [with_, without].map((runs) => runs.map(ended).filter(Number.isFinite));
    const lost = [...with_, ...without].filter(({ state }) => state === "failed").length;
    const name = target[0].toUpperCase() + target.slice(1);
    if (!ends[0].length && !ends[1].length) return lost ? `${name}: every run diverged.` : `${name}: not trained yet.`;
    const text = ends.map((one) => (one.length ? range(one) : "none"));
    return `${name}: error ${text[0]} with shortcuts, ${text[1]} without (n = ${Math.max(...ends.map(({ length }) => length))}${lost ? `; ${lost} diverged` : ""}).`;
  }

  chart(target) {
    const curves = Object.entries(KINDS).reverse().flatMap(([shortcut, [name, style]]) => this.runs(target, shortcut).map(({ frames }) => frames.map(({ loss }) => loss).filter((loss) => loss > 0 && loss < 1e30))
      .filter((losses) => losses.length > 1).map((losses, index) => [losses, style, index ? null : name, index > 0]));
    const drawn = curves.length ? logChart(TARGETS[target], "step", curves, [[0, "1"], [1, String(FIXED.steps)]]) : panel(TARGETS[target], "", "");
    return html`<div>${drawn}<p class="rl-key">${this.result(target)}</p></div>`;
  }

  fields() {
    const { settings } = this;
    const rate = (text) => {
      const number = text === "" ? NaN : Number(text);
      const rule = number >= 0.0001 && number <= 10 ? null : `“Learning rate” must be a number from 0.0001 to 10. It stays at ${settings.learning_rate}.`;
      if (rule) this.messages.complain(rule);
      else {
        this.messages.complain("");
        this.choose({ learning_rate: number });
      }
      return rule;
    };
    return html`<div class="rl-settings rl-choices">${numberField("Learning rate", "any", settings.learning_rate, rate)}
      ${field(`Branch’s last weights × ${settings.last_scale}`, html`<input type="range" min="0" max="2" step="0.1" aria-valuetext="times ${settings.last_scale}" ${value(String(settings.last_scale))}
        @change=${({ target }) => this.choose({ last_scale: Number(target.value) })}>`)}
      ${select("Batch norm", [["batch", "on"], ["none", "off"]], settings.normalization, (normalization) => this.choose({ normalization }))}
      ${select("Blocks", [1, 2, 3, 5, 8].map((count) => [count, String(count)]), settings.blocks, (blocks) => this.choose({ blocks }))}</div>`;
  }

  table() {
    const rows = Object.keys(TARGETS).flatMap((target) => Object.entries(KINDS).flatMap(([shortcut, [name]]) => this.runs(target, shortcut).map((run) =>
      [`${target}, ${name}, seed ${run.config.seed}`, say(run.frames[0]?.loss), say(run.frames[49]?.loss), say(ended(run)), run.state])));
    return table("Relative error of every stack", ["Stack", "First step", "Step 50", `Last ${LAST} steps`, "State"], rows);
  }

  view() {
    const { messages, seeds, field: work } = this;
    const more = () => this.jobs([seeds + 1, seeds + 2, seeds + 3]);
    return html`<div class="rl" role="group" aria-label="Two stacks learn a map"><p class="rl-title">Two stacks learn a map<small>the same weights and batches, with and without shortcuts</small></p>
      ${this.fields()}<div class="rl-bar">${work.bar("Train all four", () => this.jobs([1]))}${work.running ? "" : work.bar("Three more seeds", more, { main: false, disabled: !seeds || seeds > 12 })}</div>
      ${messages.view()}<div class="rl-card rl-details"><div class="rl-columns">${Object.keys(TARGETS).map((target) => this.chart(target))}</div></div>
      <p class="rl-key">The error is the mean squared difference from what is wanted, relative to its mean square: 1 for a stack that puts out zeros. New noise at every step;
        ${FIXED.width} channels of ${FIXED.size}×${FIXED.size}, batches of ${FIXED.batch_size}. Trained in this page; figures are geometric means of the last ${LAST} steps, n seeds each.</p>
      ${folded("Figures as a table", this.open, (open) => { this.open = open; this.redraw(); }, () => this.table())}${messages.live()}</div>`;
  }
}

export function mount(el, data, tools) {
  const stacks = new Stacks(el, data, tools);
  return () => {
    stacks.field.close();
    stacks.screen.close();
  };
}
