// The gain of the branches: a factor α on all of them, the size from block to block beside 2^l, and what then trains.

import { slider, toggle } from "../parts/controls.mjs";
import { Messages } from "../parts/messages.mjs";
import { say } from "../parts/numbers.mjs";
import { Untrained, drawsOf, drawsText, geometric, moreDraws, sizePanel } from "../parts/sizes.mjs";
import { folded, table } from "../parts/table.mjs";
import { Trained } from "../parts/trained.mjs";
import { html, show } from "../parts/ui.mjs";

const DEPTH = 56;
const BLOCKS = (DEPTH - 2) / 2;
const NORMAL = { none: "no normalisation", batch: "batch norm" };
const network = ({ normalization }, more) => ({ depth: DEPTH, activation: "pre", normalization, ...more });

/**
 * The mean square behind 0, 1, 2 … blocks by the page's rule, with its border of zeros: v (1 + α² b); where the size is
 * halved, option A leaves half of the channels empty, and He's rule (by the outputs) half of the branch.
 */
function expected(start, alpha) {
  const found = [start];
  for (let block = 0; block < BLOCKS; block++) {
    const [side, first] = [8 >> Math.floor(block / (BLOCKS / 3)), block && block % (BLOCKS / 3) === 0];
    const inside = first ? ((3 * side - 1) * (3 * side - 2)) / (9 * side * side) : ((3 * side - 2) / (3 * side)) ** 2;
    found.push(found.at(-1) * (1 + alpha ** 2 * inside ** 2) * (first ? 0.5 : 1));
  }
  return found;
}
const nameOf = ({ alpha, normalization }) => `α = ${alpha}${normalization === "batch" ? ", BN" : ""}`;

class Gain {
  constructor(el, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    const shared = { tools, messages: this.messages, redraw };
    this.network = new Untrained(el, shared);
    this.trained = new Trained(shared);
    Object.assign(this, { now: { alpha: 1, normalization: "none", draws: 4 }, seen: null, open: false });
    this.screen = show(el, () => this.view());
    this.choose({});
  }

  choose(patch) {
    const now = (this.now = { ...this.now, ...patch });
    const ask = [["set", { all: true, branch: now.alpha }], ["sizes", {}]];
    const jobs = Array.from({ length: now.draws }, (_, n) => ({ ask, config: network(now, { seed: n + 1 }) }));
    this.network.ask(jobs, (answers) => {
      const found = answers.map(([, { blocks }]) => [blocks[0].input, ...blocks.map(({ output }) => output)].map((size) => size ** 2));
      const start = geometric(found)[0];
      this.seen = { now, found, doubling: Array.from({ length: BLOCKS + 1 }, (_, l) => start * 2 ** l), formula: expected(start, now.alpha) };
      this.messages.announce(this.summary());
    });
    this.screen.redraw();
  }

  get lines() {
    const { now, found, doubling, formula } = this.seen;
    return [
      { values: doubling, style: "", dotted: true, label: "2^l" },
      ...(now.normalization === "none" ? [{ values: formula, style: "", dotted: true, label: "with border" }] : []),
      ...drawsOf(found, now.normalization === "batch" ? "on" : "mixed", "measured"),
    ];
  }

  summary() {
    if (!this.seen) return "A network of 56 layers is being measured …";
    const { now, found, formula } = this.seen;
    const sizes = geometric(found);
    const grown = now.normalization === "none" ? ` ((1 + α²)^${BLOCKS} is ${say((1 + now.alpha ** 2) ** BLOCKS)}, the rule with the border says ${say(formula.at(-1) / sizes[0])})` : "";
    return `α = ${now.alpha}, ${NORMAL[now.normalization]}: through ${BLOCKS} blocks the mean square goes from ${say(sizes[0])} to ${say(sizes.at(-1))}, ${say(sizes.at(-1) / sizes[0])}-fold${grown}. The size is its root: ${say(Math.sqrt(sizes[0]))} to ${say(Math.sqrt(sizes.at(-1)))}.`;
  }

  view() {
    const { now, seen, trained } = this;
    const setting = { name: nameOf(now), config: network(now, { branch_gain: now.alpha }) };
    return html`<div class="rl" role="group" aria-label="The gain of the branches"><p class="rl-title">The gain of the branches: x + α F(x)</p>
      <div class="rl-sliders">${slider("α, on all 27 branches", { low: 0, high: 1, step: 0.05, now: now.alpha, words: String(now.alpha), move: (alpha) => this.choose({ alpha }) })}</div>
      <div class="rl-bar">${toggle("Batch norm", now.normalization === "batch", () => this.choose({ normalization: now.normalization === "batch" ? "none" : "batch" }))}
      ${moreDraws(now.draws, (draws) => this.choose({ draws }))}</div>
      ${this.messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">Computed in this browser, before training, ${drawsText(seen?.now.draws ?? 1)}.</span></output>
      ${seen ? sizePanel("Mean square of the signal", "behind each block; 0 is the first one's input", `Mean square behind each block. ${this.summary()}`, this.lines, "block", { first: 0 }) : ""}
      <p class="rl-title">And does it train?</p>${trained.bar([[`Train with ${setting.name}`, [setting]]])}${trained.view("Test error after 300 steps, in percent")}
      <p class="rl-key">Pre-activation, option A, ${DEPTH} layers, width 4; learning rate 0.03, α stays as it is while training.</p>
      ${folded("Figures as a table", this.open, (open) => { this.open = open; this.screen.redraw(); }, () => (seen ? table("Mean square behind each block",
    ["Block", ...this.lines.map(({ label }, n) => label ?? `draw ${n}`)], Array.from({ length: BLOCKS + 1 }, (_, l) => [l, ...this.lines.map(({ values }) => say(values[l]))])) : ""))}
      ${this.messages.live()}</div>`;
  }
}

export function mount(el, data, tools) {
  const one = new Gain(el, tools);
  return () => {
    one.network.close();
    one.trained.close();
    one.screen.close();
  };
}
