// Pretrained: the network at hand learns digits in another position from a few labels, beside one that starts from scratch.

import { Bench, offer } from "../parts/bench.mjs";
import { curveKey, curvePanels, drawCurves } from "../parts/chart.mjs";
import { button, select } from "../parts/controls.mjs";
import { Field, trainAll } from "../parts/field.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, percent } from "../parts/numbers.mjs";
import { dots, endError, sayMean, statistics } from "../parts/seeds.mjs";
import { errorTable, folded } from "../parts/table.mjs";
import { html, inSight, show } from "../parts/ui.mjs";

const [STEPS, MORE] = [100, 3];
const WAYS = { tuned: "fine-tuned", scratch: "from scratch" };
const STYLES = { tuned: "on", scratch: "off" };
const TURNS = [[180, "upside down"], [90, "a quarter turn"], [0, "as they were"]];

class Pretrained {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    Object.assign(this, { redraw, tools, turn: 180, each: 2, frozen: "none", seeds: 1, file: null, source: null, before: null, open: false });
    this.field = new Field({ tools, messages: this.messages, redraw, finished: () => this.messages.announce(this.words()) });
    this.bench = new Bench({ tools, messages: this.messages, redraw, changed: (holder) => this.begin(holder), name: "Pretrained network",
      offers: [offer("residual-8", 8, "A", 100), offer("residual-20", 20, "A", 300), offer("plain-20", 20, "none", 300)] });
    this.screen = show(el, () => this.view());
    this.leave = inSight(el, () => this.bench.ready()); // a tenth of a second for the smallest
  }

  /** Another network is at hand: how does it read the turned digits as it is? */
  async begin(holder) {
    try {
      const file = await this.bench.ask("export", {}, { of: holder.name });
      if (holder !== this.bench.holder) return;
      Object.assign(this, { file, source: holder });
      await this.look();
    } catch (error) {
      this.fault(error);
    }
  }

  fault(error) {
    if (error.name !== "AbortError" && error.message !== "closed") this.messages.complain(error.message);
  }

  async look() {
    this.field.forget();
    const asked = {};
    Object.assign(this, { before: null, seeds: 1, asked });
    if (!this.file) return;
    const job = (turn) => ({ key: turn, config: { ...this.source.config, steps: 0, data: { turn } }, file: this.file });
    const [upright, turned] = await trainAll(this.tools, [job(0), job(this.turn)], { workers: 1, after: (ask) => ask("evaluate") });
    const fault = [upright, turned].find(({ state }) => state === "failed");
    if (fault) throw new Error(fault.message);
    if (asked !== this.asked) return; // another choice was made meanwhile
    this.before = [upright.result.error, turned.result.error];
    this.redraw();
  }

  choose(patch) {
    Object.assign(this, patch);
    this.look().catch((error) => this.fault(error));
    this.redraw();
  }

  /** The runs of all seeds: equal labels and equal steps for both ways. */
  jobs() {
    if (!this.source) return [];
    const { depth, shortcut, normalization, activation, width } = this.source.config;
    return Array.from({ length: this.seeds }, (_, n) => n + 1).flatMap((seed) => {
      const config = { depth, shortcut, normalization, activation, width, seed, steps: STEPS, test_every: 5, batch_size: 16, data: { turn: this.turn, per_class: this.each, seed } };
      const frozen = this.frozen === "body" ? "body" : [];
      return [{ key: `tuned ${seed}`, config: { ...config, head: "new", frozen }, file: this.file }, { key: `scratch ${seed}`, config }];
    });
  }

  get runs() {
    const all = [...this.field.runs.values()].filter(({ frames }) => frames.length);
    for (const run of all) {
      const [way, seed] = run.key.split(" ");
      Object.assign(run, { way, style: STYLES[way], thin: seed !== "1", label: seed === "1" ? WAYS[way] : "" });
    }
    return all.sort((a, b) => Number(b.thin) - Number(a.thin));
  }

  ends(way) {
    return Array.from({ length: this.seeds }, (_, n) => this.field.runs.get(`${way} ${n + 1}`)).filter((run) => run?.state === "done").map(endError);
  }

  more() {
    this.seeds += MORE;
    this.field.start(() => this.jobs());
  }

  words() {
    if (!this.source) return this.bench.running ? "The network learns upright digits …" : "Train a network, or choose one of yours.";
    const [tuned, scratch] = [this.ends("tuned"), this.ends("scratch")];
    const turned = TURNS.find(([turn]) => turn === this.turn)[1];
    if (!tuned.length || !scratch.length) {
      return this.before ? `It reads upright digits with ${percent(this.before[0])} % test error, and digits ${turned} with ${percent(this.before[1])} %. What are ${10 * this.each} labels worth?` : "Looking at turned digits …";
    }
    const n = Math.min(tuned.length, scratch.length);
    const gains = scratch.slice(0, n).map((error, index) => error - tuned[index]);
    const { mean, least, most } = statistics(gains);
    const one = `Digits ${turned}, ${10 * this.each} labels, ${count(STEPS)}: test error ${sayMean(tuned)} fine-tuned, ${sayMean(scratch)} from scratch.`;
    if (n === 1) return `${one} One seed: before you believe it, train three more.`;
    const said = (gain) => `${percent(Math.abs(gain))} points ${gain < 0 ? "worse" : "better"}`;
    return `${one} Fine-tuning is lower in ${gains.filter((gain) => gain > 0).length} of ${n} seeds, on average ${said(mean)}; a single seed would have told you anything from ${said(least)} to ${said(most)}.`;
  }

  settings() {
    const off = this.field.running || !this.source;
    return html`<div class="rl-settings rl-choices">${select("Digits now", TURNS, this.turn, (turn) => this.choose({ turn }), off)}
      ${select("Labels", [2, 5, 20].map((each) => [each, `${10 * each}, ${each} a class`]), this.each, (each) => this.choose({ each }), off)}
      ${select("Fine-tuning moves", [["none", "all weights"], ["body", "the classifier alone"]], this.frozen, (frozen) => this.choose({ frozen }), off)}</div>`;
  }

  view() {
    const { bench, messages, field, runs } = this;
    const spec = { steps: STEPS, cursor: null, fronts: 2, bands: ["tuned", "scratch"].map((way) => runs.filter((run) => run.way === way)).filter((group) => group.length > 1) };
    const groups = Object.entries(WAYS).map(([way, name]) => ({ name, values: this.ends(way), style: STYLES[way] }));
    const begun = groups.some(({ values }) => values.length);
    return html`<div class="rl" role="group" aria-label="Fine-tuning beside training from scratch">${bench.view()}${messages.view()}${this.settings()}
      <div class="rl-bar">${field.bar("Train both on the turned digits", () => this.jobs(), { disabled: !this.source, main: !begun })}
      ${field.running ? "" : button("Three more seeds", () => this.more(), { main: begun, disabled: !this.source || this.seeds > 9, title: "Other labels, other weights from scratch, another classifier" })}</div>
      <output class="rl-summary" aria-live="off"><strong>${this.words()}</strong></output>
      ${curvePanels(this.words(), (box, kind) => drawCurves(box, runs, { ...spec, ...kind }))}${curveKey}
      ${begun ? html`<div class="rl-details"><p class="rl-title">Test error at the end<small>every seed a point, the stroke their mean</small></p></div>${dots("Test error at the end", groups)}` : ""}
      <p class="rl-key">Solid: fine-tuned from the network above, with a new classifier. Dashed: the same architecture from scratch. Equal labels, batches of 16 and a rate of 0.03 for both; 360 test pictures.</p>
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, () => errorTable(runs, ({ way }) => WAYS[way]))}${bench.networks.view(bench.holder.own?.id)}${messages.live()}</div>`;
  }

  close() {
    this.leave();
    this.field.close();
    this.bench.close();
    this.screen.close();
  }
}

/** Mount in `el`; `data`: id. Returns what ends it. */
export function mount(el, data, tools) {
  const one = new Pretrained(el, data, tools);
  return () => one.close();
}
