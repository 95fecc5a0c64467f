// Guess how a gradient changes on its way back; then tap shortcuts, slide a branch's gain, and see the gradients and the
// singular values of the chain.

import { button, select, slider, toggle } from "../parts/controls.mjs";
import { Messages } from "../parts/messages.mjs";
import { network, ratioOf } from "../parts/network.mjs";
import { say } from "../parts/numbers.mjs";
import { OwnNetworks, metadataOf } from "../parts/own.mjs";
import { Untrained, sizePanel } from "../parts/sizes.mjs";
import { colourScale } from "../parts/strip.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, show } from "../parts/ui.mjs";

const KEPT = 0.01; // a direction counts as kept above this singular value, as resnet_edu.probes.KEPT
const IMAGE = 0; // the first training image, as on the page
const TWINS = { none: "plain", A: "residual" };
const START = { depth: 20, normalization: "batch", activation: "post", on: new Array(9).fill(false), block: 2, gain: 1, copy: false, seed: 1, own: null };
const keeping = (count) => Array.from({ length: count }, (_, n) => n + 1).filter((number) => number === 1 || (number - 1) % (count / 3)); // blocks that keep the shape
const keeps = (count, block) => (keeping(count).includes(block) ? block : 1);

class PlusOne {
  constructor(el, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    const shared = { tools, messages: this.messages, redraw };
    Object.assign(this, { network: new Untrained(el, shared), networks: new OwnNetworks({ ...shared, listed: true, open() {} }), now: START, guess: { none: 0, A: 0 }, guessing: true, seen: null, twins: {}, open: false });
    this.screen = show(el, () => this.view());
    this.choose({});
  }

  /** What a network with these connections is asked. */
  job(now, on) {
    const { depth, normalization, activation, block, gain, copy, seed, own } = now;
    const ask = on.map((connected, index) => ["set", { block: index + 1, connected }]);
    if (copy) ask.push(["copy", { block }]);
    ask.push(["set", { block, branch: gain }], ["sizes", {}]);
    if (normalization === "batch") ask.push(["recalibrate", {}]);
    ask.push(["jacobian", { image: IMAGE, from: 1, to: on.length }]);
    return { config: own ? { ...own.config, switches: [] } : { depth, normalization, activation, seed }, own, ask };
  }

  choose(patch) {
    const now = (this.now = { ...this.now, ...patch });
    const { depth, normalization, activation, seed } = now;
    const key = JSON.stringify([depth, normalization, activation, seed]); // of the twins, with all shortcuts and with none
    const twins = now.own || this.twins[key] ? [] : Object.keys(TWINS).map((kind) => this.job({ ...now, gain: 1, copy: false }, now.on.map(() => kind === "A")));
    this.network.ask([this.job(now, now.on), ...twins], (answers) => {
      const [mine, none, A] = answers.map((all) => ({ norms: all.find((one) => one?.layers).layers.map((layer) => layer.weight_gradient), values: all.at(-1).values }));
      if (none) this.twins[key] = { none, A };
      this.seen = { now, mine, twins: now.own ? null : this.twins[key] };
      this.messages.announce(this.summary());
    });
    this.screen.redraw();
  }

  /** Take one of the reader's networks, as it was trained, or leave it again. */
  take(id) {
    const own = this.networks.entries.find((entry) => entry.id === id) ?? null;
    if (!own) return this.choose({ own: null });
    const { config: { depth, normalization, activation }, blocks } = metadataOf(own.file);
    return this.choose({ own, depth, normalization, activation, on: blocks.map(({ connected }) => connected), block: keeps(blocks.length, 2), gain: 1, copy: false });
  }

  deepen(depth) {
    const on = new Array((depth - 2) / 2).fill(this.now.on.every(Boolean));
    this.choose({ depth, on, block: keeps(on.length, this.now.block), gain: 1, copy: false });
  }

  reveal() {
    this.guessing = false;
    this.deepen(56);
  }

  get kind() {
    const { on } = this.seen.now;
    return on.every(Boolean) ? "residual" : on.some(Boolean) ? "mixed" : "plain";
  }

  summary() {
    if (!this.seen) return "A network of 20 layers is being measured …";
    const { now, mine, twins } = this.seen;
    const kept = (values) => `${Math.round((100 * values.filter((value) => value > KEPT).length) / values.length)} %`;
    const both = this.guessing || !twins ? "" : ` Without any shortcut the ratio is ${say(ratioOf(twins.none.norms))}, with all ${say(ratioOf(twins.A.norms))}${now.depth === 56 && now.normalization === "batch" && now.activation === "post" ? `; you guessed ${say(10 ** this.guess.none)} and ${say(10 ** this.guess.A)}` : ""}.`;
    const ratio = ratioOf(mine.norms);
    return `${now.depth} layers, ${this.kind}, ${now.own ? `your network “${now.own.name}”` : "before training"}: `
      + (Number.isFinite(ratio) ? `the gradient of the second convolution is ${say(ratio)} times that of the last one.` : "nothing arrives, every gradient is 0.")
      + ` Of the directions ${kept(mine.values)} are kept, the largest singular value is ${say(mine.values[0])}.${both}`;
  }

  charts() {
    const { mine, twins } = this.seen;
    const style = { residual: "on", plain: "off", mixed: "mixed" }[this.kind];
    const lines = (take) => [...(this.guessing || !twins ? [] : [{ values: take(twins.none), style: "off", label: "plain" }, { values: take(twins.A), style: "on", label: "residual" }]), { values: take(mine), style, front: true, label: "this one" }];
    const floor = 1e-12;
    return html`<div class="rl-columns">${sizePanel("Gradients", "norm, convolution by convolution", `Gradients. ${this.summary()}`, lines(({ norms }) => norms.slice(0, -1)), "convolution, input left", { floor })}
      ${sizePanel("The chain's singular values", "all blocks together, largest first", `Singular values. ${this.summary()}`, lines(({ values }) => values), "rank", { floor })}</div>`;
  }

  table() {
    const { mine, twins } = this.seen;
    const columns = [["This one", mine], ...(twins ? [["Plain", twins.none], ["Residual", twins.A]] : [])];
    const heads = columns.map(([name]) => name);
    const values = (one) => [0, 0.25, 0.5, 0.75, 1].map((part) => say(one.values[Math.round(part * (one.values.length - 1))]));
    return [
      table("Norm of each convolution's gradient", ["Convolution", ...heads], mine.norms.slice(0, -1).map((_, n) => [n + 1, ...columns.map(([, one]) => say(one.norms[n]))])),
      table("Singular values of the chain", ["Rank", ...heads], ["largest", "a quarter", "median", "three quarters", "smallest"].map((name, n) => [name, ...columns.map(([, one]) => values(one)[n])])),
    ];
  }

  guesses() {
    const bar = (kind) => slider(`${TWINS[kind]}-56, with batch norm`, { low: -5, high: 5, step: 0.5, now: this.guess[kind], words: say(10 ** this.guess[kind]), move: (value) => { this.guess = { ...this.guess, [kind]: value }; this.screen.redraw(); } });
    return html`<p>The second convolution's gradient divided by the last one's, before training, in networks of 56 layers: guess both ratios. Below 1 it vanishes towards the input, above 1 it explodes.</p>
      <div class="rl-sliders">${Object.keys(TWINS).map(bar)}</div><div class="rl-bar">${button("Show me", () => this.reveal(), { main: true })}</div>`;
  }

  controls() {
    const { now } = this;
    const all = (value) => button(value ? "All shortcuts" : "No shortcut", () => this.choose({ on: now.on.map(() => value) }), { pressed: now.on.every((one) => one === value) });
    const { entries } = this.networks;
    const own = entries.length ? select("Weights", [["", "new, untrained"], ...entries.map(({ id, name }) => [id, `yours: ${name}`])], now.own?.id ?? "", (id) => this.take(id)) : "";
    const built = now.own ? "" : html`${select("Depth", [[8, "8 layers"], [20, "20 layers"], [56, "56 layers"]], now.depth, (depth) => this.deepen(depth))}
      ${select("Activation", [["post", "post-activation"], ["pre", "pre-activation"]], now.activation, (activation) => this.choose({ activation }))}
      ${toggle("Batch norm", now.normalization === "batch", () => this.choose({ normalization: now.normalization === "batch" ? "none" : "batch" }))}
      ${button("Other weights", () => this.choose({ seed: now.seed + 1 }), { title: `These are of seed ${now.seed}` })}`;
    return html`<div class="rl-bar">${own}${built}${all(false)}${all(true)}</div>
      <div class="rl-sliders">${slider(`Gain of block ${now.block}'s branch`, { low: -1, high: 1, step: 0.1, now: now.gain, words: now.gain.toFixed(1), move: (gain) => this.choose({ gain: Number(gain.toFixed(1)) }) })}
      <div class="rl-bar">${select("Block", keeping(now.on.length).map((number) => [number, String(number)]), now.block, (block) => this.choose({ block }))}
      ${toggle("Its branch copies its input", now.copy, () => this.choose({ copy: !now.copy }))}</div></div>`;
  }

  view() {
    const { seen, now } = this;
    const norms = seen && seen.now.on.length === now.on.length ? seen.mine.norms : null;
    const sizes = norms?.filter((norm) => norm > 1e-12).map(Math.log10) ?? [];
    const scale = [Math.floor(Math.min(0, ...sizes)), Math.max(1, Math.ceil(Math.max(0, ...sizes)))];
    const config = { width: 4, shortcut: "A" };
    return html`<div class="rl" role="group" aria-label="The gradient on its way back"><p class="rl-title">The gradient on its way back</p>
      ${this.guessing ? this.guesses() : this.controls()}${network(config, now.on, norms, scale, (index) => this.choose({ on: now.on.map((one, n) => (n === index ? !one : one)) }))}
      ${norms ? colourScale("gradient norm", scale) : ""}${this.messages.view()}
      <output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">Computed in this browser${now.own ? "" : `, seed ${now.seed}, one draw of the weights`}.</span></output>
      ${seen ? this.charts() : ""}<p class="rl-key">Gradients of one batch of 32 digits; singular values for one digit, with the statistics of 512.</p>
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.screen.redraw(); }, () => (seen ? this.table() : ""))}${this.messages.live()}</div>`;
  }
}

export function mount(el, data, tools) {
  const one = new PlusOne(el, tools);
  return () => {
    one.network.close();
    one.networks.close();
    one.screen.close();
  };
}
