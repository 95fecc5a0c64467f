// Loss landscape: what a factor on all filters does to a cut, and a map around the network at hand, drawn as it is computed.

import { Bench, offer } from "../parts/bench.mjs";
import { nameOf } from "../parts/config.mjs";
import { button, panel, progressBar, select, slider } from "../parts/controls.mjs";
import { heat, notConvex } from "../parts/heat.mjs";
import { logChart } from "../parts/log-chart.mjs";
import { Messages } from "../parts/messages.mjs";
import { say } from "../parts/numbers.mjs";
import { sayTime, secondsFor } from "../parts/pace.mjs";
import { colourScale } from "../parts/strip.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, inSight, show } from "../parts/ui.mjs";

const IMAGES = 128; // training images on which losses are measured
const POINTS = 21; // of a cut
const SIDE = 17; // of a map
const SCALE = [-2, 3]; // decades of the loss in the maps
const GUESSING = Math.log(10);
const evenly = (count, reach = 1) => Array.from({ length: count }, (_, n) => reach * ((2 * n) / (count - 1) - 1));
const TICKS = [[0, "−1"], [0.5, "0"], [1, "1"]];
const times = (factor) => `× ${Number(factor.toPrecision(3))}`;

class Landscape {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    const recorded = data.recorded.map(({ loss, ...rest }) => ({ ...rest, loss: Array.from(atob(loss), (letter) => 10 ** (letter.charCodeAt(0) / 25 - 3)) }));
    Object.assign(this, { redraw, data, recorded, beside: recorded.at(-1), power: 0, base: null, now: null, busy: false, map: null, pair: 0, control: null, open: false });
    this.bench = new Bench({ tools, messages: this.messages, redraw, changed: () => this.begin(), fits: ({ normalization }) => normalization === "batch",
      offers: [offer("residual-8", 8, "A", 100), offer("residual-20", 20, "A", 300), offer("plain-20", 20, "none", 300), offer("residual-56", 56, "A", 300), offer("plain-56", 56, "none", 300)] });
    this.screen = show(el, () => this.view());
    this.leave = inSight(el, () => this.bench.ready()); // a tenth of a second for the smallest
  }

  /** Another network is at hand. */
  begin() {
    this.control?.abort();
    Object.assign(this, { base: null, now: null, map: null, power: 0, control: null });
    return this.settle();
  }

  fault(error) {
    if (error.name !== "AbortError" && error.message !== "closed") this.messages.complain(error.message);
  }

  /** Two cuts and some answers with all filters multiplied by `factor`, statistics taken anew. */
  async measure(factor, of) {
    const ask = (question, settings) => this.bench.ask(question, settings, { of });
    await ask("restore");
    if (factor !== 1) await ask("scale", { factor });
    await ask("recalibrate");
    const { logits } = await ask("logits", { images: 64 });
    if (factor === 1) {
      const { layers } = await ask("sizes");
      const { parameters } = await ask("describe");
      this.reach = Math.hypot(...layers.map(({ weight }) => weight)) / Math.sqrt(parameters); // a random vector as long as the weights
    }
    const common = { split: "train", images: IMAGES, seed: 1 };
    const raw = await ask("line", { ...common, normalization: "none", alphas: evenly(POINTS, this.reach) });
    const filter = await ask("line", { ...common, alphas: evenly(POINTS) });
    await ask("restore");
    return { factor, logits, raw: Array.from(raw.loss), filter: Array.from(filter.loss) };
  }

  /** Measure until the cuts are those of the slider. */
  async settle() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (!this.base || this.now.factor !== 2 ** this.power) {
        const { chosen } = this.bench;
        const found = await this.measure(this.base ? 2 ** this.power : 1, chosen);
        if (chosen !== this.bench.chosen) continue; // of a network that is no longer at hand
        this.now = found;
        this.base ??= found;
        this.redraw();
      }
      this.messages.announce(this.words());
    } catch (error) {
      this.fault(error);
    }
    this.busy = false;
    this.redraw();
  }

  async draw() {
    const control = (this.control = new AbortController());
    const map = (this.map = { loss: new Float64Array(SIDE * SIDE).fill(NaN), done: 0, pair: this.pair, name: this.bench.holder.label });
    this.messages.complain("");
    const [steps, of] = [evenly(SIDE), this.bench.chosen];
    try {
      await this.bench.ask("restore", {}, { of });
      await this.bench.ask("recalibrate", {}, { of });
      await this.bench.ask("surface", { split: "train", images: IMAGES, seeds: [2 * this.pair, 2 * this.pair + 1], alphas: steps, betas: steps }, { of, signal: control.signal, progress: ({ part }) => {
        if (!part) return;
        map.loss[part.index] = part.loss;
        map.done++;
        this.redraw();
      } });
      this.messages.announce(`The map is complete. ${this.mapWords(map.loss, SIDE)}`);
    } catch (error) {
      this.fault(error);
    }
    if (this.control === control) this.control = null;
    this.redraw();
  }

  apart() {
    return this.base.logits.reduce((most, value, n) => Math.max(most, Math.abs(value - this.now.logits[n])), 0);
  }

  words() {
    const { base, now } = this;
    if (!base) return this.bench.holder.state === "ready" ? "Measuring two cuts …" : "Train a network, or choose one of yours: its two cuts appear here.";
    const ends = ({ raw, filter }) => [raw, filter].map((values) => say((values[0] + values.at(-1)) / 2));
    const [[before, fixed], [raw, filter]] = [ends(base), ends(now)];
    if (now.factor === 1) return `At the ends of the cuts the loss is ${before} with plain steps and ${fixed} with filter-normalised ones. Move the slider.`;
    return `All filters ${times(now.factor)}: at the ends of the plain cut the loss went from ${before} to ${raw}, of the filter-normalised one from ${fixed} to ${filter}. The function is the same: no logit moved by more than ${say(this.apart())}.`;
  }

  mapWords(loss, side) {
    const known = Array.from(loss).filter((value) => !Number.isNaN(value));
    if (!known.length) return "No point yet.";
    const low = (100 * known.filter((value) => value < GUESSING).length) / known.length;
    const bent = known.length === loss.length ? `, ${notConvex(loss, side).toFixed(0)} % of the points within ½ bend downward` : "";
    return `Centre ${say(loss[(loss.length - 1) / 2])}, ${low.toFixed(0)} % of ${known.length} points below guessing${bent}, highest ${say(Math.max(...known))}.`;
  }

  cuts() {
    const { base, now } = this;
    const chart = (title, key) => logChart(title, "step", [[base[key], 0, times(1)], ...(now === base ? [] : [[now[key], 3, times(now.factor)]])], TICKS);
    return html`<div class="rl-columns rl-card">${chart("Plain steps", "raw")}${chart("Filter-normalised steps", "filter")}</div>
      <p class="rl-key">Training loss (nats, logarithmic; the line marks 1) on ${IMAGES} images along one random direction. A plain step of 1 is as long as the weights at × 1, whatever the slider says; a filter-normalised one is as long as each filter. Statistics taken anew from 512 training images.</p>`;
  }

  mapPanel(title, loss, side, note) {
    const shares = Array.from(loss, (value) => (Number.isNaN(value) ? NaN : (Math.log10(Math.max(value, 1e-3)) - SCALE[0]) / (SCALE[1] - SCALE[0])));
    const words = this.mapWords(loss, side);
    return panel(title, "", html`<div class="rl-map">${heat(`Map of the training loss. ${words}`, side, shares)}<span aria-hidden="true">+</span></div><p class="rl-key">${words} ${note}</p>`);
  }

  maps() {
    const { map, control, beside } = this;
    const { state, config } = this.bench.holder;
    const seconds = secondsFor([{ ...config, steps: (SIDE * SIDE * IMAGES) / config.batch_size / 3, test_every: Infinity }]);
    return html`<div class="rl-details"><p class="rl-title">A map<small>two random directions, filter-normalised, ${SIDE} × ${SIDE} points</small></p></div>
      <div class="rl-bar">${control ? html`${button("■ Stop", () => control.abort(), { running: true })}${progressBar(map.done / map.loss.length, `${map.done} of ${map.loss.length} points`)}`
    : button(`▶ Draw the map of this network (${sayTime(seconds)})`, () => this.draw(), { disabled: state !== "ready" || this.busy })}
      ${map && !control ? button("Another pair of directions", () => { this.pair++; this.draw(); }, { disabled: state !== "ready" || this.busy }) : ""}
      ${select("Beside it, recorded", this.recorded.map(({ name }) => [name, `${name}, width 8`]), beside.name, (name) => { this.beside = this.recorded.find((one) => one.name === name); this.redraw(); })}</div>
      <div class="rl-columns rl-details">${map ? this.mapPanel(`${map.name}, here`, map.loss, SIDE, `One network, pair of directions ${map.pair + 1}.`) : panel("This network", "", html`<p class="rl-key">Not drawn yet.</p>`)}
      ${this.mapPanel(`${beside.name}, recorded`, Float64Array.from(beside.loss), beside.side, `One network (seed ${beside.seed}) and one pair; ${this.data.note}`)}</div>
      ${colourScale("training loss", SCALE)}`;
  }

  view() {
    const { bench, messages, base, now } = this;
    const figures = () => (base ? table("Training loss along the two cuts", ["Step", "plain, × 1", `plain, ${times(now.factor)}`, "filter-normalised, × 1", `filter-normalised, ${times(now.factor)}`],
      evenly(POINTS).map((step, n) => [step.toFixed(1), ...[base.raw, now.raw, base.filter, now.filter].map((values) => say(values[n]))])) : "");
    return html`<div class="rl" role="group" aria-label="The loss around a network">${bench.view()}${messages.view()}
      <div class="rl-sliders">${slider("Multiply all filters by", { low: -3, high: 4, step: 0.25, now: this.power, words: times(2 ** this.power), disabled: !base || Boolean(this.control), move: (power) => { this.power = power; this.settle(); } })}</div>
      <output class="rl-summary" aria-live="off"><strong>${this.words()}</strong></output>${base ? this.cuts() : ""}${this.maps()}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, figures)}${bench.networks.view(bench.holder.own?.id)}${messages.live()}</div>`;
  }

  close() {
    this.leave();
    this.control?.abort();
    this.bench.close();
    this.screen.close();
  }
}

/** Mount in `el`; `data`: id, recorded (maps), note. Returns what ends it. */
export function mount(el, data, tools) {
  const one = new Landscape(el, data, tools);
  return () => one.close();
}
