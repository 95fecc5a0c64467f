// Degradation: guess eight training errors, race the eight networks, and see what their gradients did meanwhile.

import { chart, level, lineAt, put, textAt, widthOf } from "../parts/chart.mjs";
import { DEFAULTS } from "../parts/config.mjs";
import { button, scrub, select } from "../parts/controls.mjs";
import { Field, settled } from "../parts/field.mjs";
import { KEYS } from "../parts/guess.mjs";
import { Messages } from "../parts/messages.mjs";
import { ratioOf } from "../parts/network.mjs";
import { count, percent, say } from "../parts/numbers.mjs";
import { unpackAll } from "../parts/record.mjs";
import { nextSeeds, sayMean, statistics } from "../parts/seeds.mjs";
import { origin } from "../parts/source-line.mjs";
import { decades, stripPanel } from "../parts/strip.mjs";
import { folded, table } from "../parts/table.mjs";
import { trainingError } from "../parts/training-error.mjs";
import { drawn, html, show } from "../parts/ui.mjs";

const DEPTHS = [8, 20, 32, 56];
const STYLES = { none: "off", A: "on" };
const CELLS = Object.keys(STYLES).flatMap((shortcut) => DEPTHS.map((depth) => ({
  shortcut, depth, key: `${shortcut}-${depth}`, name: `${shortcut === "A" ? "residual" : "plain"}-${depth}`,
})));
const START = 50; // where the handles stand: no guess

const shown = (run) => run.state === "done" || run.state === "running";

/** Where things stand in the chart of eight: two columns a depth, errors from 0 to 100 %. */
function placesIn(box) {
  const [width, height, left, right, top, bottom] = [widthOf(box), 250, 34, 8, 12, 40];
  const [w, h] = [width - left - right, height - top - bottom];
  return {
    width, height, left, top, w, h,
    x: ({ depth, shortcut }) => left + ((DEPTHS.indexOf(depth) + (shortcut === "A" ? 0.7 : 0.3)) / DEPTHS.length) * w,
    y: (value) => top + (1 - value / 100) * h,
    value: (py) => Math.round(Math.min(100, Math.max(0, (1 - (py - top) / h) * 100))),
  };
}

/** Guesses (`guess`: by key) as hollow marks and, where a cell has `values`, a point for each seed and the mean's line. */
function drawEight(box, guess, values, hasGuess) {
  const place = placesIn(box);
  const { width, height, left, top, w, h, x, y } = place;
  let marks = [0, 20, 40, 60, 80, 100].map((tick) => level(left, left + w, y(tick), tick)).join("");
  marks += lineAt("chance", left, left + w, y(90), y(90)) + textAt(left + w, y(90) - 8, "guessing among ten digits", "end");
  DEPTHS.forEach((depth, n) => { marks += textAt(left + ((n + 0.5) / DEPTHS.length) * w, top + h + 14, depth); });
  marks += textAt(left + w / 2, height - 8, "weighted layers");
  const mark = (cell, value, size) => (cell.shortcut === "A"
    ? `<circle cx="${x(cell)}" cy="${y(value)}" r="${size}"/>`
    : `<rect x="${x(cell) - size}" y="${y(value) - size}" width="${2 * size}" height="${2 * size}"/>`);
  for (const [shortcut, style] of Object.entries(STYLES)) {
    const cells = CELLS.filter((cell) => cell.shortcut === shortcut);
    const line = (of) => cells.map((cell) => [cell, of(cell)]).filter(([, value]) => Number.isFinite(value)).map(([cell, value], n) => `${n ? "L" : "M"}${x(cell)} ${y(value)}`).join("");
    const mean = (cell) => statistics(values(cell)).mean;
    marks += `<g class="rl-run rl-front rl-${style}">`;
    if (hasGuess) marks += `<path class="rl-guess" d="${line((cell) => guess[cell.key])}"/><g class="rl-hollow">${cells.map((cell) => mark(cell, guess[cell.key], 5)).join("")}</g>`;
    marks += `<path class="rl-test" d="${line(mean)}"/>`;
    for (const cell of cells) {
      const found = values(cell);
      marks += found.map((value) => mark(cell, value, 3.2)).join("");
      if (found.length) marks += `<text class="rl-label rl-front" x="${x(cell)}" y="${y(Math.max(...found)) - 12}" dy=".35em" text-anchor="middle">${mean(cell).toFixed(0)}</text>`;
    }
    marks += "</g>";
  }
  put(box, width, height, marks);
  return place;
}

class Degradation {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    const { recordings, problems } = unpackAll(data.records);
    const messages = new Messages(redraw);
    const guess = Object.fromEntries(CELLS.map(({ key }) => [key, START]));
    const config = { ...DEFAULTS, ...data.config };
    Object.assign(this, { recordings, messages, redraw, config, guess, chosen: "none-56", cursor: 1, open: false, place: null });
    this.scale = decades(recordings);
    this.field = new Field({ tools, messages, redraw, done: (run) => this.ended(run) });
    if (problems.length) messages.complain(problems.join(" "));
    this.screen = show(el, () => this.view());
  }

  /** What is still to be trained: all eight with the first seed, then with three more. */
  jobs() {
    const seeds = this.seeds ? nextSeeds(this.config, this.seeds) : [this.config];
    return seeds.flatMap((config) => CELLS.map(({ shortcut, depth, key }) => ({ key: `${key}-${config.seed}`, config: { ...config, shortcut, depth } })));
  }

  runsOf(cell) {
    return [...this.field.runs.values()].filter((run) => run.key.startsWith(`${cell.key}-`) && run.frames.length && shown(run));
  }

  /** How many seeds all eight networks have been trained with. */
  get seeds() {
    return Math.min(...CELLS.map((cell) => this.runsOf(cell).filter(({ state }) => state === "done").length));
  }

  ended() {
    if (settled(this.field)) this.messages.announce(this.summary());
    this.redraw();
  }

  set(cell, value) {
    this.guess[cell.key] = Math.min(100, Math.max(0, value));
    this.redraw();
  }

  press(event, cell) {
    const by = KEYS[event.key];
    if (!by) return;
    event.preventDefault();
    this.set(cell, this.guess[cell.key] + by);
  }

  drag(event, cell) {
    const { currentTarget: handle, type, buttons, clientY } = event;
    if (type === "pointerdown") handle.setPointerCapture(event.pointerId);
    if (buttons) this.set(cell, this.place.value(clientY - handle.parentElement.getBoundingClientRect().top));
  }

  /** A handle a guess: a circle with shortcuts, a square without; none once a network has been trained. */
  handle(cell) {
    const value = this.guess[cell.key];
    const move = (event) => this.drag(event, cell);
    return html`<div class="rl-handle rl-grip rl-${STYLES[cell.shortcut]}" role="slider" tabindex="0" aria-orientation="vertical" aria-valuemin="0" aria-valuemax="100"
      aria-label="Expected training error of ${cell.name}" aria-valuenow=${value} aria-valuetext="${value} percent" ?hidden=${this.begun} @keydown=${(event) => this.press(event, cell)}
      @pointerdown=${move} @pointermove=${move} ${drawn((handle) => Object.assign(handle.style, { left: `${this.place.x(cell)}px`, top: `${this.place.y(value)}px` }))}></div>`;
  }

  get begun() {
    return this.field.runs.size > 0;
  }

  again() {
    this.field.forget();
    Object.assign(this, { cursor: 1, chosen: "none-56" });
    this.messages.announce("All eight are gone: guess anew.");
    this.redraw();
  }

  errors(cell) {
    return this.runsOf(cell).filter(({ state }) => state === "done").map(trainingError);
  }

  summary() {
    if (!this.seeds) return this.begun ? this.field.running ? "The race is on: wrong answers over the last 44 steps." : "Not all eight have ended: race on, or guess anew." : `Guess first: how many of its own training images will each network misread after ${count(this.config.steps)}?`;
    const list = (shortcut) => CELLS.filter((cell) => cell.shortcut === shortcut).map((cell) => percent(statistics(this.errors(cell)).mean)).join(", ");
    const off = CELLS.reduce((sum, cell) => sum + Math.abs(this.guess[cell.key] - statistics(this.errors(cell)).mean), 0) / CELLS.length;
    return `Training error at 8, 20, 32 and 56 layers: ${list("none")} % without shortcuts, ${list("A")} % with them (${this.seeds > 1 ? "means of " : ""}${count(this.seeds, "seed")}). Your guesses were ${off.toFixed(0)} points off on average.`;
  }

  source() {
    const run = [...this.field.runs.values()].find(({ device }) => device);
    return run ? `Trained in this browser (${run.device}), ${count(this.config.steps)} at learning rate ${this.config.learning_rate}; counted over the last epoch, while the weights move.` : "";
  }

  /** The run whose gradients are shown: of this page, else a recorded one. */
  get run() {
    const cell = CELLS.find(({ key }) => key === this.chosen);
    return this.runsOf(cell)[0] ?? this.recordings.find(({ config }) => config.depth === cell.depth && config.shortcut === cell.shortcut) ?? null;
  }

  view() {
    const more = this.seeds > 0;
    const kinds = html`<p class="rl-key"><span class="rl-grip rl-off rl-sign"></span> without shortcuts, dashed <span class="rl-grip rl-on rl-sign"></span> with shortcuts, solid. Dotted and hollow: your guess.</p>`;
    return html`<div class="rl" role="group" aria-label="Degradation: guess, then race eight networks"><p class="rl-title">Training error, guessed and measured<small>in percent</small></p>
      <div class="rl-area">${chart(`Chart of the training error by depth. ${this.summary()}`, (box) => {
    this.place = drawEight(box, this.guess, (cell) => this.runsOf(cell).map(trainingError), this.begun);
  })}${CELLS.map((cell) => this.handle(cell))}</div>${kinds}
      <div class="rl-bar rl-actions">${this.field.bar(more ? "Three more seeds" : "Race all eight", () => this.jobs())}${button("Guess anew", () => this.again(), { disabled: !this.begun || this.field.running })}</div>
      ${this.messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${this.source()}</span></output>
      ${this.gradients()}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, () => this.table())}${this.messages.live()}</div>`;
  }

  /** The strip of one network over its steps, and the two ends of it at the step shown. */
  gradients() {
    const { run } = this;
    const last = run?.frames.length ?? 0;
    const step = Math.min(this.cursor, last);
    const known = CELLS.map(({ key, name, ...cell }) => [key, name, !this.runsOf({ key }).length && !this.recordings.some(({ config }) => config.depth === cell.depth && config.shortcut === cell.shortcut)]);
    return html`<div class="rl-bar rl-actions">${select("Gradients of", known, this.chosen, (key) => { this.chosen = key; this.redraw(); })}</div>
      ${stripPanel(run, step, run?.config.steps ?? this.config.steps, this.scale)}
      ${scrub({ step, last, steps: run?.config.steps ?? this.config.steps, disabled: !last, left: () => {}, move: (to) => { this.cursor = to; this.redraw(); } })}
      <p class="rl-ends"><strong>${this.ends(run, step)}</strong> <span class="rl-soft">${run ? origin(run) : ""}</span></p>`;
  }

  ends(run, step) {
    const at = (wanted) => run?.frames.slice(0, wanted).findLast(({ norms }) => norms)?.norms;
    const [first, now] = [at(1), at(Math.max(1, step))];
    if (!now) return "Not trained yet.";
    const ratio = ratioOf(now);
    const word = !Number.isFinite(ratio) ? "no number" : ratio > 3 ? "it grows towards the input" : ratio < 1 / 3 ? "the input is starved" : "about level";
    return `Gradient of the second convolution divided by that of the last: ${step > 1 ? `${say(ratioOf(first))} at step 1, ` : ""}${say(ratio)} at step ${Math.max(1, step)} (${word}).`;
  }

  table() {
    return table("Training error in percent", ["Network", "Your guess", "Measured", "Every seed"], CELLS.map((cell) => {
      const found = this.errors(cell);
      return [cell.name, this.guess[cell.key], found.length ? sayMean(found) : "–", found.map(percent).join(", ") || "–"];
    }));
  }

  close() {
    this.field.close();
    this.screen.close();
  }
}

/** Mount in `el`; `data`: id, config, records. Returns what ends it. */
export function mount(el, data, tools) {
  const one = new Degradation(el, data, tools);
  return () => one.close();
}
