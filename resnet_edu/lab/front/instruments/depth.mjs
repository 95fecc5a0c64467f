// Keep a signal alive: a plain chain of convolutions, its first weights larger or smaller than He's rule, and its sizes.

import { button, slider, toggle } from "../parts/controls.mjs";
import { Messages } from "../parts/messages.mjs";
import { say } from "../parts/numbers.mjs";
import { Untrained, drawsOf, drawsText, geometric, moreDraws, sizePanel } from "../parts/sizes.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, show } from "../parts/ui.mjs";

const [WIDTH, SIDE] = [16, 8];
const STARTS = { "s = 0.01": 0.01 / Math.sqrt(2 / (9 * WIDTH)), "1/n": Math.sqrt(0.5), "He, 2/n": 1, "10 % more": 1.1 };
const GROWTH = Math.sqrt(Math.PI / (Math.PI - 1)); // of the gradient behind batch normalisation and ReLU; the page derives it

/** The share of a size that a border of zeros leaves after 0, 1, 2 … layers: the page's equation, its root. */
function shares(layers) {
  let row = new Array(SIDE).fill(1);
  return Array.from({ length: layers + 1 }, () => {
    const share = row.reduce((sum, value) => sum + value, 0) / SIDE;
    row = row.map((value, n) => ((row[n - 1] ?? 0) + value + (row[n + 1] ?? 0)) / 3);
    return share;
  });
}

/** What the formulas expect forwards, behind each layer, and backwards. */
function expected({ scale, layers, normalization, border }) {
  const list = (value) => Array.from({ length: layers }, (_, n) => value(n));
  if (normalization === "batch") return [list(() => Math.SQRT1_2), list((n) => GROWTH ** (layers - 1 - n))];
  const left = border === "zeros" ? shares(layers) : new Array(layers + 1).fill(1);
  return [list((n) => scale ** (n + 1) * left[n + 1]), list((n) => scale ** (layers - 1 - n) * left[layers - 1 - n])];
}

class Depth {
  constructor(el, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    this.network = new Untrained(el, { tools, messages: this.messages, redraw });
    Object.assign(this, { now: { scale: 1.1, layers: 30, normalization: "none", border: "circular", draws: 4 }, seen: null, open: false });
    this.screen = show(el, () => this.view());
    this.choose({});
  }

  choose(patch) {
    const now = { ...this.now, ...patch };
    this.now = now;
    const jobs = Array.from({ length: now.draws }, (_, n) => ({
      ask: [["sizes", {}]], config: {
        task: "chain", depth: now.layers, width: WIDTH, size: SIDE, batch_size: 8, seed: n + 1, normalization: now.normalization,
        border: now.border, weight_scale: now.scale,
      },
    }));
    this.network.ask(jobs, (answers) => this.take(now, answers.map(([sizes]) => sizes.layers)));
    this.screen.redraw();
  }

  take(now, found) {
    const relative = (layers) => layers.map((layer) => layer.activation_gradient / layers.at(-1).activation_gradient);
    this.seen = { now, forward: found.map((layers) => layers.map(({ activation }) => activation)), backward: found.map(relative), expected: expected(now) };
    this.messages.announce(this.summary());
  }

  summary() {
    if (!this.seen) return "A chain of convolutions is being measured …";
    const { now, forward, backward, expected: [there, back] } = this.seen;
    const [end, start] = [geometric(forward).at(-1), geometric(backward)[0]];
    const normal = now.normalization === "batch";
    return `${now.layers} layers, first weights ${now.scale.toFixed(2)} times He's rule, ${normal ? "batch norm" : "no normalisation"}: the signal ends at ${say(end)} times its size`
      + ` (formula ${say(there.at(-1))}${normal ? "" : `, its mean square ${say(there.at(-1) ** 2)}`}), the gradient arrives at ${say(start)} times its size (formula ${say(back[0])}).`;
  }

  charts() {
    if (!this.seen) return html`<div class="rl-columns"></div>`;
    const { now, forward, backward, expected: formulas } = this.seen;
    const style = now.normalization === "batch" ? "on" : "off";
    const panels = [["Forwards", "size behind each layer, input 1", forward], ["Backwards", "gradient there, 1 at the end", backward]];
    return html`<div class="rl-columns">${panels.map(([title, sub, lists], index) => sizePanel(title, sub, `${title}. ${this.summary()}`,
      [{ values: formulas[index], style: "", dotted: true, label: "formula" }, ...drawsOf(lists, style, "measured")], "layer", { floor: 1e-37 }))}</div>`;
  }

  table() {
    const { forward, backward, expected: [there, back] } = this.seen;
    const [a, b] = [geometric(forward), geometric(backward)];
    return table("Root mean square behind each layer, and of the gradient there", ["Layer", "Forwards", "Formula", "Backwards", "Formula"],
      a.map((value, n) => [n + 1, say(value), say(there[n]), say(b[n]), say(back[n])]));
  }

  view() {
    const { now } = this;
    return html`<div class="rl" role="group" aria-label="Keep the signal alive"><p class="rl-title">Keep the signal alive</p>
      <div class="rl-sliders">${slider("First weights, times He's rule", { low: 0.05, high: 1.5, step: 0.01, now: now.scale, words: now.scale.toFixed(2), move: (scale) => this.choose({ scale }) })}
      ${slider("Layers", { low: 8, high: 110, step: 1, now: now.layers, words: String(now.layers), move: (layers) => this.choose({ layers }) })}</div>
      <div class="rl-bar">${Object.entries(STARTS).map(([name, scale]) => button(name, () => this.choose({ scale }), { pressed: Math.abs(scale - now.scale) < 0.005 }))}
      ${toggle("Batch norm", now.normalization === "batch", () => this.choose({ normalization: now.normalization === "batch" ? "none" : "batch" }))}
      ${toggle("Zeros at the border", now.border === "zeros", () => this.choose({ border: now.border === "zeros" ? "circular" : "zeros" }))}
      ${moreDraws(now.draws, (draws) => this.choose({ draws }))}</div>
      ${this.messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">Computed in this browser, ${drawsText(this.seen?.now.draws ?? 1)}.</span></output>
      ${this.charts()}<p class="rl-key">${WIDTH} channels, maps of ${SIDE}×${SIDE}, 3×3 kernels, ReLU; noise goes in at the start, and back at the end.</p>
      ${folded("Figures as a table", this.open, (open) => { this.open = open; this.screen.redraw(); }, () => (this.seen ? this.table() : ""))}${this.messages.live()}</div>`;
  }
}

export function mount(el, data, tools) {
  const one = new Depth(el, tools);
  return () => {
    one.network.close();
    one.screen.close();
  };
}
