// Trainings of a few settings side by side, every seed a point: what an instrument of untrained networks offers to train.

import { DEFAULTS } from "./config.mjs";
import { Field } from "./field.mjs";
import { count } from "./numbers.mjs";
import { dots, endError, sayMean } from "./seeds.mjs";
import { html } from "./ui.mjs";

const nameOf = ({ key }) => key.slice(0, key.lastIndexOf("|"));

/** Groups of runs by their names: { name, config } is a setting, of which seeds are trained. */
export class Trained {
  constructor({ tools, messages, redraw }) {
    this.messages = messages;
    this.field = new Field({ tools, messages, redraw, done: () => messages.announce(this.summary()) });
  }

  /** [name, runs] of all that were trained; a run ends at its last step, or with a loss that is no number. */
  get groups() {
    const found = new Map();
    for (const run of this.field.runs.values()) found.set(nameOf(run), [...(found.get(nameOf(run)) ?? []), run]);
    return [...found].map(([name, runs]) => [name, runs.filter(({ state }) => state === "done" || state === "failed"), runs[0].config]);
  }

  /** Jobs for the first seed of settings that have none yet. */
  first(settings) {
    const names = this.groups.filter(([, runs]) => runs.length).map(([name]) => name);
    return settings.filter(({ name }) => !names.includes(name)).map(({ name, config }) => ({ key: `${name}|${DEFAULTS.seed}`, config: { ...config, seed: DEFAULTS.seed } }));
  }

  /** Jobs for the next three seeds of all that were trained. */
  more() {
    return this.groups.flatMap(([name, runs, config]) => {
      const used = new Set(runs.map((run) => run.config.seed));
      const seeds = [];
      for (let { seed } = DEFAULTS; seeds.length < 3; seed++) if (!used.has(seed)) seeds.push(seed);
      return seeds.map((seed) => ({ key: `${name}|${seed}`, config: { ...config, seed } }));
    });
  }

  /** Buttons: one for each of `offers`, [label, settings], and one for three more seeds; or a stop. */
  bar(offers) {
    const { field } = this;
    if (field.running) return html`<div class="rl-bar">${field.bar("", [])}</div>`;
    const some = this.groups.length > 0;
    return html`<div class="rl-bar">${offers.map(([label, settings], index) => field.bar(label, this.first(settings), { main: !index }))}
      ${field.bar("Three more seeds", some ? this.more() : [], { main: false, disabled: !some })}</div>`;
  }

  /** "α = 0.2: 4.1 ± 0.9 % (n = 4); α = 1: 2 of 2 runs diverged". */
  summary() {
    return this.groups.filter(([, runs]) => runs.length).map(([name, runs]) => {
      const errors = runs.map(endError).filter(Number.isFinite);
      const lost = runs.filter(({ state }) => state === "failed").length;
      return `${name}: ${[errors.length && sayMean(errors), lost && `${lost} of ${count(runs.length, "run")} diverged`].filter(Boolean).join(", ")}`;
    }).join("; ");
  }

  view(label) {
    const groups = this.groups.map(([name, runs]) => ({ name, values: runs.filter(({ state }) => state === "done").map(endError) }));
    if (!groups.length) return "";
    const text = this.summary();
    return html`${dots(label, groups)}<p class="rl-key">${label}: every point a seed, the stroke their mean. ${text && `${text}.`}</p>`;
  }

  close() {
    this.field.close();
  }
}
