// The lottery: one program, one network, six seeds. Guess how far apart they end, then report the best step, too.

import { ERROR, chart, curveKey, drawCurves } from "../parts/chart.mjs";
import { DEFAULTS } from "../parts/config.mjs";
import { button, toggle } from "../parts/controls.mjs";
import { Field, settled } from "../parts/field.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, percent } from "../parts/numbers.mjs";
import { unpackAll } from "../parts/record.mjs";
import { dots, nextSeeds, sayMean, statistics } from "../parts/seeds.mjs";
import { origin } from "../parts/source-line.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, nothing, show, value } from "../parts/ui.mjs";

const TICKETS = 6;
const START = 0.3; // points: where the slider of the guess stands

const testsOf = ({ frames }) => frames.filter(({ test_error: error }) => error !== undefined).map(({ test_error: error }) => error);
const last = (run) => testsOf(run).at(-1);
const best = (run) => Math.min(...testsOf(run));
const apart = (values) => Math.max(...values) - Math.min(...values);

class Lottery {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    const { recordings, problems } = unpackAll(data.records);
    const messages = new Messages(redraw);
    Object.assign(this, { recordings, messages, redraw, config: { ...DEFAULTS, depth: 20, ...data.config }, guess: START, best: false, open: false });
    this.field = new Field({ tools, messages, redraw, done: () => this.ended() });
    if (problems.length) messages.complain(problems.join(" "));
    this.screen = show(el, () => this.view());
  }

  /** The first seed and five more, then three more at a press. */
  jobs() {
    const have = this.drawn.length;
    const configs = have < TICKETS ? nextSeeds(this.config, 0, TICKETS) : nextSeeds(this.config, have);
    return configs.map((config) => ({ key: String(config.seed), config }));
  }

  get drawn() {
    return [...this.field.runs.values()].filter(({ state }) => state === "done");
  }

  ended() {
    if (settled(this.field)) this.messages.announce(this.summary());
    this.redraw();
  }

  pick() {
    this.best = !this.best;
    this.messages.announce(this.summary());
    this.redraw();
  }

  summary() {
    const { drawn } = this;
    if (!drawn.length) {
      const run = this.recordings[0];
      const one = run ? `One recorded run of residual-${run.config.depth} ends at ${percent(last(run))} % test error. ` : "";
      return `${one}${TICKETS} runs of the same program differ in nothing but the seed: how many points lie between the best and the worst?`;
    }
    const values = drawn.map(this.best ? best : last);
    if (drawn.length < 2) return `Seed ${drawn[0].config.seed}: ${percent(values[0])} % test error.`;
    const flattery = statistics(drawn.map((run) => last(run) - best(run))).mean;
    const told = `${this.best ? "Best step" : "Last step"}, ${count(drawn.length, "seed")}: test error ${percent(Math.min(...values))} to ${percent(Math.max(...values))} %, ${apart(values).toFixed(1)} points apart`;
    return this.best
      ? `${told}. Each run looks ${flattery.toFixed(1)} points better on average, and no network changed: the step was chosen on the test images.`
      : `${told} (your guess: ${this.guess.toFixed(1)}).`;
  }

  source() {
    const run = this.drawn[0] ?? (this.field.running ? null : this.recordings[0]);
    if (!run) return "";
    if (run.source === "recording") return origin(run);
    return `Trained in this browser (${run.device}), ${count(this.config.steps)} at learning rate ${this.config.learning_rate}; mean ${sayMean(this.drawn.map(this.best ? best : last))}.`;
  }

  view() {
    const { drawn } = this;
    const begun = this.field.runs.size > 0;
    const bet = html`<label class="rl-scrub"><span>Your guess, points apart</span><input type="range" min="0" max="10" step="0.1" aria-label="Guessed distance of the best and the worst run, in points"
      aria-valuetext="${this.guess.toFixed(1)} points" ?disabled=${begun} ${value(String(this.guess))} @input=${({ target }) => { this.guess = Number(target.value); this.redraw(); }}><span class="rl-at">${this.guess.toFixed(1)}</span></label>`;
    return html`<div class="rl" role="group" aria-label="The lottery: one program, many seeds"><p class="rl-title">residual-${this.config.depth}, one recipe<small>test error on 360 digits</small></p>
      ${bet}<div class="rl-bar rl-actions">${this.field.bar(drawn.length >= TICKETS ? "Three more seeds" : `Train ${TICKETS} seeds`, () => this.jobs())}
      ${toggle("Report the best step", this.best, () => this.pick())}${button("Guess anew", () => { this.field.forget(); this.best = false; this.redraw(); }, { disabled: !begun || this.field.running })}</div>
      ${this.messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${this.source()}</span></output>
      ${drawn.length > 1 ? this.points(drawn) : nothing}${this.curves()}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, () => this.table())}${this.messages.live()}</div>`;
  }

  points(drawn) {
    const groups = [{ name: "last step", style: "on", values: drawn.map(last) }];
    if (this.best) groups.push({ name: "best step", style: "", values: drawn.map(best) });
    return dots(`Test error of ${count(drawn.length, "seed")}`, groups, { unit: " %", low: 0, high: 4 * Math.ceil(Math.max(...drawn.map(last)) / 4) });
  }

  curves() {
    const mine = [...this.field.runs.values()].filter(({ frames }) => frames.length);
    const runs = mine.length ? mine.map((run) => ({ ...run, thin: true, label: "" })) : this.recordings.map((run) => ({ ...run, label: `seed ${run.config.seed}` }));
    const spec = { ...ERROR, top: 20, ticks: [0, 5, 10, 15, 20], chance: null, steps: this.config.steps, cursor: null };
    return html`${chart(`Test error over the steps, ${count(runs.length, "run")}, cut off at 20 %. ${this.summary()}`, (box) => drawCurves(box, runs, spec))}${mine.length ? html`<p class="rl-key">Test error, a line a seed.</p>` : curveKey}`;
  }

  table() {
    return table("Test error in percent", ["Seed", "Last step", "Best step", "at step"], this.drawn.map((run) => {
      const lowest = best(run);
      return [run.config.seed, percent(last(run)), percent(lowest), run.frames.find(({ test_error: error }) => error === lowest).step];
    }));
  }

  close() {
    this.field.close();
    this.screen.close();
  }
}

/** Mount in `el`; `data`: id, config, records. Returns what ends it. */
export function mount(el, data, tools) {
  const one = new Lottery(el, data, tools);
  return () => one.close();
}
