// Guess first: the reader draws a curve before any is shown, and reads how far off it was.

import { button } from "./controls.mjs";
import { percent } from "./numbers.mjs";
import { drawn, html } from "./ui.mjs";

const POINTS = 5; // of a guessed curve
export const KEYS = { ArrowUp: 2, ArrowRight: 2, ArrowDown: -2, ArrowLeft: -2, PageUp: 10, PageDown: -10, Home: -100, End: 100 };

/** `active`: the answer is hidden; `made`: the guess that stays in the chart. `steps()` is the length of a run. */
export class Guess {
  constructor(active, steps, redraw) {
    Object.assign(this, { active, steps, redraw, values: new Array(POINTS).fill(50), made: null, verdict: "", place: null });
  }

  at(index) {
    return ((index + 1) * this.steps()) / POINTS;
  }

  /** What the chart draws: [[step, error], …] or null. */
  curve() {
    const values = this.active ? this.values : this.made;
    return values && [[0, 90], ...values.map((value, index) => [this.at(index), value])];
  }

  set(index, value) {
    this.values[index] = Math.min(100, Math.max(0, value));
    this.redraw();
  }

  forget() {
    this.made = null;
    this.verdict = "";
  }

  show() {
    this.made = [...this.values];
    this.active = false;
  }

  /** The verdict once a run has ended; `measured(step)` is its test error. */
  judge(end, measured) {
    if (!this.made) return "";
    const distance = this.made.reduce((sum, value, index) => sum + Math.abs(value - measured(Math.round(this.at(index)))), 0) / POINTS;
    this.verdict = `You guessed ${this.made.at(-1)} % for the end; it is ${percent(end.test_error)} %. On average your curve is ${percent(distance)} points away.`;
    return this.verdict;
  }

  draw(event) {
    if (!this.active || !this.place || (event.type === "pointermove" && !event.buttons)) return;
    event.preventDefault();
    const area = event.currentTarget.getBoundingClientRect();
    const step = this.place.step(event.clientX - area.left);
    this.set(Math.min(POINTS - 1, Math.max(0, Math.round((step / this.steps()) * POINTS) - 1)), Math.round(this.place.value(event.clientY - area.top)));
  }

  press(event, index) {
    const by = KEYS[event.key];
    if (!by) return;
    event.preventDefault();
    this.set(index, this.values[index] + by);
  }

  /** Handles over `chart`, which puts its scales into `place` when it is drawn. */
  area(chart) {
    const move = (event) => this.draw(event);
    return html`<div class="rl-area" @pointerdown=${move} @pointermove=${move}>${chart}${this.values.map((value, index) => html`<div class="rl-handle" role="slider"
      tabindex="0" aria-orientation="vertical" aria-valuemin="0" aria-valuemax="100" ?hidden=${!this.active} aria-label="Expected test error at step ${Math.round(this.at(index))}"
      aria-valuenow=${value} aria-valuetext="${value} percent" @keydown=${(event) => this.press(event, index)}
      ${drawn((handle) => Object.assign(handle.style, { left: `${this.place.x(this.at(index))}px`, top: `${this.place.y(value)}px` }))}></div>`)}</div>`;
  }

  bar(showMe) {
    return html`<div class="rl-guessbar" ?hidden=${!this.active}><p>Where will the test error go? Draw it: drag the five points, or move them with the arrow keys.</p>
      ${button("Show me", showMe, { main: true, show: true })}</div>`;
  }
}
