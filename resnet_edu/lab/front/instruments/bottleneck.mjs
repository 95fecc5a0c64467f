// Design two blocks: what each costs, counted here; how long each takes, recorded (resnet_edu/lab/designer.py) and here.

import { SHORTCUT } from "../parts/chooser.mjs";
import { button, select } from "../parts/controls.mjs";
import { countBlock } from "../parts/counting.mjs";
import { Messages } from "../parts/messages.mjs";
import { agent, say, separated } from "../parts/numbers.mjs";
import { ratioBars } from "../parts/ratios.mjs";
import { openSource } from "../parts/sources.mjs";
import { html, show } from "../parts/ui.mjs";

const START = [["basic", 64], ["bottleneck", 256]].map(([block, channels]) => ({ block, channels, shortcut: "A", stride: 1, variant: "v1.5" }));
const LABELS = {
  block: { name: "Block", basic: "basic: 3×3, 3×3", bottleneck: "bottleneck: 1×1, 3×3, 1×1" },
  channels: { name: "Input channels" }, shortcut: SHORTCUT, stride: { name: "Stride", 1: "1", 2: "2: half the size, twice the channels" },
  variant: { name: "Stride on", v1: "first 1×1 (v1)", "v1.5": "3×3 (v1.5)" },
};
const [PASSES, GUESS] = [9, 3e9]; // passes a press at most; multiply-adds a second on a device that was not measured yet
const matters = ({ block, stride }) => block === "bottleneck" && stride === 2; // whether the variant does
const keyOf = (one) => [one.block, one.channels, one.shortcut, one.stride, matters(one) ? one.variant : "v1.5"].join("/");
const nameOf = (one) => `${one.block}-${one.channels}${one.shortcut === "A" ? "" : one.shortcut === "none" ? ", no shortcut" : `, shortcut ${one.shortcut}`}${one.stride === 2 ? ", stride 2" : ""}${matters(one) ? `, ${one.variant}` : ""}`;
const middle = (times) => [...times].sort((a, b) => a - b)[times.length >> 1];
const scatter = (times) => `${say(Math.min(...times))} to ${say(Math.max(...times))} ms`;

class Designer {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    Object.assign(this, { data, tools, redraw, messages: new Messages(redraw), pair: START, found: new Map(), rate: GUESS, kernels: "", done: 0, stop: null });
    this.screen = show(el, () => this.view());
  }

  /** A block as it is counted and timed: `channels` of the choice come in, and leave twofold with stride 2. */
  spec(one) {
    const outputs = one.stride * one.channels;
    return { ...one, inputs: one.channels, channels: one.block === "bottleneck" ? outputs / 4 : outputs, side: this.data.side };
  }

  choose(index, key, value) {
    this.stop?.abort();
    this.pair = this.pair.map((one, n) => (n === index ? { ...one, [key]: value } : one));
    this.redraw();
  }

  /** Passes of both blocks that a press times, and the seconds that this takes. */
  plan() {
    const each = (8 * this.pair.reduce((sum, one) => sum + countBlock(this.spec(one)).multiply_adds, 0)) / this.rate;
    const passes = Math.max(3, Math.min(PASSES, Math.floor(20 / each) - 2));
    return { passes, seconds: each * (passes + 2) };
  }

  async time() {
    const { pair } = this;
    const { passes } = this.plan();
    const stop = this.stop = new AbortController();
    let source = null;
    this.messages.complain("");
    try {
      source = await openSource(this.tools)("browser");
      const before = performance.now();
      const asked = { blocks: pair.map((one) => this.spec(one)), passes };
      const { times, images, multiply_adds, kernels } = await source.question("time", asked, { signal: stop.signal, progress: ({ done, total }) => {
        this.done = done / total;
        this.redraw();
      } });
      this.rate = (images * (passes + 2) * (multiply_adds[0] + multiply_adds[1])) / ((performance.now() - before) / 1000);
      this.kernels = kernels;
      pair.forEach((one, index) => this.found.set(keyOf(one), [...(this.found.get(keyOf(one)) ?? []), ...times[index]]));
      this.messages.announce(`Timed: ${this.timed()}.`);
    } catch (error) {
      if (error.name !== "AbortError") this.messages.complain(`The blocks could not be timed: ${error.message}`);
    } finally {
      source?.close();
      Object.assign(this, { stop: null, done: 0 });
      this.redraw();
    }
  }

  timed() {
    const [one, other] = this.pair.map((block) => this.found.get(keyOf(block)));
    return one && other ? `× ${say(middle(one) / middle(other))} the time on this device` : "not timed on this device yet";
  }

  fields(index) {
    const one = this.pair[index];
    return html`<fieldset class="rl-pair"><legend class="rl-title"><i class="rl-bar-of ${index ? "rl-bar-other" : ""}"></i> ${index ? "against" : "this block"}</legend><div class="rl-settings rl-choices">
      ${Object.entries(this.data.choices).map(([key, values]) => select(LABELS[key].name, values.map((value) => [value, LABELS[key][value] ?? String(value)]), one[key],
    (value) => this.choose(index, key, value), key === "variant" && !matters(one)))}</div></fieldset>`;
  }

  bars(one, other) {
    const { pair, data } = this;
    const recorded = pair.map((block) => data.times[keyOf(block)]);
    const here = pair.map((block) => this.found.get(keyOf(block)));
    const rows = [
      ["Parameters", one.parameters, other.parameters, separated],
      ["Multiply-adds", one.multiply_adds, other.multiply_adds, (value) => `${(value / 1e6).toFixed(1)} million`],
      ["Kept for the way back", one.memory, other.memory, (value) => `${(value / 1e6).toFixed(2)} MB`],
      ["Forward pass, recorded", recorded[0][0], recorded[1][0], (value) => `${say(value)} ms`, recorded.map(([, ...range]) => scatter(range)).join(" against ")],
    ];
    if (here[0] && here[1]) {
      rows.push(["Forward pass here", middle(here[0]), middle(here[1]), (value) => `${say(value)} ms`, `${here.map(scatter).join(" against ")}; n = ${here.map(({ length }) => length).join(", ")}`]);
    }
    return ratioBars(pair.map(nameOf), rows);
  }

  view() {
    const [one, other] = this.pair.map((block) => countBlock(this.spec(block)));
    const { data, messages } = this;
    const [now, then] = this.pair.map((block) => data.times[keyOf(block)][0]);
    const { seconds } = this.plan();
    return html`<section class="rl" aria-label="Design two blocks"><p class="rl-title">Design two blocks</p>
      <div class="rl-columns">${this.fields(0)}${this.fields(1)}</div>
      ${messages.view()}<output class="rl-summary" aria-live="off"><strong>${nameOf(this.pair[0])} against ${nameOf(this.pair[1])}: × ${say(one.multiply_adds / other.multiply_adds)} the multiply-adds,
        × ${say(one.memory / other.memory)} the memory, × ${say(now / then)} the recorded time; ${this.timed()}.</strong></output>
      ${this.bars(one, other)}<div class="rl-bar rl-actions">${this.stop ? button("Stop", () => this.stop?.abort()) : button(`Time both here (about ${Math.max(1, Math.round(seconds))} s)`, () => this.time(), { main: true })}
        ${this.stop ? html`<progress max="1" .value=${this.done} aria-label="Timing"></progress>` : ""}</div>
      <p class="rl-key">Maps of ${data.side}×${data.side}. Counts are made in this page, a time is of one image. Recorded: median and range of ${data.passes} passes of one image, ${data.device}, torch ${data.versions.torch}, ${data.date}.
        Here: median and range of passes of eight images at once, one thread${this.kernels ? ` (${agent()}, ${this.kernels})` : ""}; our kernels, not PyTorch’s.</p>${messages.live()}</section>`;
  }
}

export function mount(el, data, tools) {
  const designer = new Designer(el, data, tools);
  return () => {
    designer.stop?.abort();
    designer.screen.close();
  };
}
