// Drawing: a digit on its way through a network, block by block, and what the classifier would say if the rest were cut.

import { Bench, offer } from "../parts/bench.mjs";
import { button, panel, select, slider } from "../parts/controls.mjs";
import { heat } from "../parts/heat.mjs";
import { Messages } from "../parts/messages.mjs";
import { network } from "../parts/network.mjs";
import { Pad, cellsOf } from "../parts/pad.mjs";
import { viridis } from "../parts/strip.mjs";
import { html, inSight, show } from "../parts/ui.mjs";

const TEST = 1437; // number of the first test image
const OTHERS = 40; // test images on which the way to the answer is counted
const CLASSES = 10;
const best = (row) => row.reduce((most, value, digit) => (value > row[most] ? digit : most), 0);
const rowsOf = ({ probabilities }) => Array.from({ length: probabilities.length / CLASSES }, (_, n) => Array.from(probabilities.slice(n * CLASSES, (n + 1) * CLASSES)));
const percent = (share) => (100 * share).toFixed(0);

/** Channels side by side, with a gap: [columns, shares of the largest size]. */
function mosaic({ channels, size, values }, most) {
  const each = Math.min(channels, 8);
  const columns = each * (size + 1) - 1, rows = (channels / each) * (size + 1) - 1;
  const shares = new Array(columns * rows).fill(NaN);
  values.forEach((value, n) => {
    const [channel, y, x] = [Math.floor(n / (size * size)), Math.floor(n / size) % size, n % size];
    shares[(Math.floor(channel / each) * (size + 1) + y) * columns + (channel % each) * (size + 1) + x] = Math.abs(value) / most;
  });
  return [columns, shares];
}

class Drawing {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    this.pad = new Pad(() => this.drew());
    this.examples = data.examples.map(({ label, pixels }) => ({ label, image: Array.from(pixels, (letter) => parseInt(letter, 17)) }));
    Object.assign(this, { redraw, ...this.examples[0], example: 0, of: null, on: [], shown: 1, seen: null, agreed: null, wanted: 0, done: 0, busy: false });
    this.bench = new Bench({ tools, messages: this.messages, redraw, changed: (holder) => this.begin(holder),
      offers: [offer("residual-8", 8, "A", 200), offer("residual-20", 20, "A", 300), offer("plain-20", 20, "none", 300), offer("plain-56", 56, "none", 300), offer("residual-56", 56, "A", 300)] });
    this.screen = show(el, () => this.view());
    this.leave = inSight(el, () => this.bench.ready()); // a fifth of a second for the smallest
  }

  /** Another network is at hand: `of` names it, and `on` says which of its shortcuts are there. */
  async begin({ name }) {
    Object.assign(this, { seen: null, agreed: null });
    try {
      const { blocks } = await this.bench.ask("describe", {}, { of: name });
      if (name !== this.bench.chosen) return;
      Object.assign(this, { of: name, on: blocks.map(({ connected }) => connected), shown: Math.min(this.shown, blocks.length), seen: null, agreed: null });
      await this.look();
    } catch (error) {
      this.fault(error);
    }
  }

  fault(error) {
    if (error.name !== "AbortError" && error.message !== "closed") this.messages.complain(error.message);
  }

  /** Something was drawn. */
  drew() {
    if (!this.pad.strokes.length) return this.redraw();
    Object.assign(this, { image: cellsOf(this.pad.strokes), label: this.example === null ? this.label : null, example: null });
    this.look();
    return this.redraw();
  }

  /** Show a picture of the test set, the next one. */
  next() {
    this.pad.clear();
    const example = this.example === null ? 0 : (this.example + 1) % this.examples.length;
    Object.assign(this, { ...this.examples[example], example });
    this.look();
    this.redraw();
  }

  clear() {
    this.pad.clear();
    Object.assign(this, { image: new Array(64).fill(0), label: null, example: null });
    this.look();
    this.redraw();
  }

  async flip(index) {
    this.on[index] = !this.on[index];
    this.agreed = null;
    this.messages.announce(`Shortcut of block ${index + 1} ${this.on[index] ? "restored" : "cut"}.`);
    await this.look();
  }

  /** Ask about what is in the field now; while one answer is awaited, the last wish counts. */
  async look() {
    this.wanted++;
    if (this.busy || !this.of || this.bench.holder.state !== "ready") return;
    this.busy = true;
    try {
      while (this.done < this.wanted) {
        const { image, wanted, of, on } = this;
        const ask = (question, settings) => this.bench.ask(question, settings, { of });
        for (const [index, { connected }] of (await ask("describe")).blocks.entries()) if (connected !== on[index]) await ask("set", { block: index + 1, connected: on[index] });
        const [answers, { maps }] = [await ask("lens", { image }), await ask("maps", { image })];
        if (of !== this.of) continue; // another network has come to hand
        Object.assign(this, { seen: { rows: rowsOf(answers), maps }, done: wanted });
        this.redraw();
        if (!this.agreed && this.done === this.wanted) await this.count();
      }
    } catch (error) {
      this.fault(error);
    }
    this.busy = false;
    this.redraw();
  }

  /** The share of test images whose answer behind each block is already the last one. */
  async count() {
    const { wanted, of } = this;
    const same = new Array(this.on.length + 1).fill(0);
    for (let n = 0; n < OTHERS; n++) {
      const rows = rowsOf(await this.bench.ask("lens", { image: TEST + 9 * n }, { of }));
      rows.forEach((row, index) => { same[index] += best(row) === best(rows.at(-1)); });
      if (this.wanted !== wanted || this.of !== of) return;
    }
    this.agreed = same.map((number) => number / OTHERS);
  }

  words() {
    const { seen, label: truth } = this;
    if (!seen) return { training: "The network learns …", ready: "Looking …" }[this.bench.holder.state] ?? "Train a network, or choose one of yours.";
    const answers = seen.rows.map(best), said = answers.at(-1);
    const settled = answers.findLastIndex((digit) => digit !== said) + 1;
    const verdict = truth === null ? "" : truth === said ? ` That is right.` : ` That is wrong: it is a ${truth}.`;
    const when = !settled ? "already behind the first convolution" : `from block ${settled} on`;
    return `It says ${said} (${percent(seen.rows.at(-1)[said])} %).${verdict} The answer stands ${when}.`;
  }

  field() {
    const { pad, label, image, example } = this;
    const given = example === null ? "Your drawing, cropped, scaled, centred, and counted in 8×8 cells." : `Picture ${example + 1} of the test set: a ${label}. Draw over it with your own.`;
    return html`<div class="rl-draw"><div class="rl-pad-box">${pad.view()}<span class="rl-soft" aria-hidden="true" ?hidden=${pad.strokes.length}>draw a digit here</span></div>
      <div class="rl-cells">${heat("What the network sees: 8 by 8 numbers", 8, image.map((value) => value / 16))}</div>
      <div class="rl-draw-side"><p class="rl-key">${given}</p>
      <div class="rl-bar">${button("Clear", () => this.clear())}${button("Another example", () => this.next())}
      ${example !== null ? "" : select("I drew a", [["", "?"], ...Array.from({ length: CLASSES }, (_, n) => [String(n), String(n)])], label === null ? "" : label, (text) => {
    this.label = text === "" ? null : Number(text);
    this.redraw();
  })}</div></div></div>`;
  }

  /** A row a block: what the classifier says behind it. */
  answers() {
    const { rows } = this.seen;
    const cell = (value, most, digit) => html`<td class=${most ? "rl-best" : ""} style="background:rgb(${viridis(value)});color:${value > 0.42 ? "#000" : "#fff"}">${most && digit === this.label ? "✓" : most && this.label !== null ? "✗" : ""}${percent(value)}</td>`;
    return html`<div class="rl-tables" tabindex="0" role="region" aria-label="Answers behind each block"><table class="rl-answers"><caption>What the classifier says if the rest is cut, in percent</caption>
      <thead><tr><th scope="col">behind</th>${rows[0].map((_, digit) => html`<th scope="col">${digit}</th>`)}<th scope="col">last answer</th></tr></thead>
      <tbody>${rows.map((row, n) => html`<tr><th scope="row">${n ? `block ${n}` : "conv1"}</th>${row.map((value, digit) => cell(value, digit === best(row), digit))}<td>${this.agreed ? `${percent(this.agreed[n])} %` : "…"}</td></tr>`)}</tbody></table></div>
      <p class="rl-key">Last column: the share of ${OTHERS} test pictures whose answer there is already the last one; one network. “The rest is cut”: the branches of later blocks are off.</p>`;
  }

  passage() {
    const { seen, shown, on } = this;
    const three = ["branch", "shortcut", "output"].map((name) => [name, seen.maps.find((one) => one.name === `block${shown}.${name}`)]);
    const most = three.reduce((top, [, { values }]) => values.reduce((high, value) => Math.max(high, Math.abs(value)), top), 1e-9);
    const words = { branch: "what the block computes", shortcut: on[shown - 1] ? "what passes by" : "cut: nothing passes by", output: "the sum, behind the ReLU" };
    return html`${slider("Block shown", { low: 1, high: on.length, step: 1, now: shown, words: `block ${shown} of ${on.length}`, move: (block) => { this.shown = block; this.redraw(); } })}
      <div class="rl-passage">${three.map(([name, map]) => panel(name[0].toUpperCase() + name.slice(1), words[name], heat(`${name} of block ${shown}: ${map.channels} maps of ${map.size} by ${map.size}`, ...mosaic(map, most))))}</div>
      <p class="rl-key">Every channel a small map; the brighter, the larger the number, on one scale for the three.</p>`;
  }

  view() {
    const { bench, messages, seen, on } = this;
    const { config } = bench.holder;
    return html`<div class="rl" role="group" aria-label="A digit on its way through a network">${bench.view()}${messages.view()}${this.field()}
      <output class="rl-summary" aria-live="off"><strong>${this.words()}</strong></output>
      ${seen ? html`${panel("The network", "press a block to cut or restore its shortcut", network(config, on, null, null, (index) => this.flip(index)))}
      <div class="rl-details">${this.answers()}</div><div class="rl-details">${this.passage()}</div>` : ""}${bench.networks.view(bench.holder.own?.id)}${messages.live()}</div>`;
  }

  close() {
    this.leave();
    this.bench.close();
    this.screen.close();
  }
}

/** Mount in `el`; `data`: id. Returns what ends it. */
export function mount(el, data, tools) {
  const one = new Drawing(el, data, tools);
  return () => one.close();
}
