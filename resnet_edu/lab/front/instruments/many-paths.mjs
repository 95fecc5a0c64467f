// The lesion bench: take branches out of twins that were just trained, swap two, let sub-networks vote.

import { Bench } from "../parts/bench.mjs";
import { drawLesions } from "../parts/block-chart.mjs";
import { chart } from "../parts/chart.mjs";
import { DEFAULTS } from "../parts/config.mjs";
import { button, panel, toggle } from "../parts/controls.mjs";
import { Field } from "../parts/field.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, percent } from "../parts/numbers.mjs";
import { dots, nextSeeds, sayMean, statistics } from "../parts/seeds.mjs";
import { folded, table } from "../parts/table.mjs";
import { html, nothing, show } from "../parts/ui.mjs";

const MEMBERS = 40;
const TWINS = { plain: { shortcut: "none", style: "off" }, residual: { shortcut: "A", style: "on" } };
const KINDS = ["stored", "fresh"]; // statistics of batch normalisation
const mean = (values) => statistics(values).mean;
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const styleOf = (config) => (config.shortcut === "none" ? "off" : "on");

class ManyPaths {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    const messages = new Messages(redraw);
    Object.assign(this, { data, messages, redraw, config: { ...DEFAULTS, depth: 20, ...data.config }, lanes: new Map(), fresh: false, swapping: false, open: false, work: null, line: Promise.resolve() });
    const offers = Object.entries(TWINS).map(([name, { shortcut }]) => ({ name, label: `${name}-${this.config.depth}`, config: { ...this.config, shortcut } }));
    const arrived = () => {
      this.arrived();
      redraw();
    };
    this.bench = new Bench({ tools, messages, redraw: arrived, offers, together: true });
    this.field = new Field({ tools, messages, redraw, after: (ask) => study(ask), done: () => this.redraw() });
    this.screen = show(el, () => this.view());
  }

  /** A lane for each network that is ready: the twins, or the reader's own. */
  arrived() {
    const { holders } = this.bench;
    for (const name of this.lanes.keys()) if (holders.get(name)?.run !== this.lanes.get(name).run) this.lanes.delete(name);
    for (const { name, label, config, run, state } of holders.values()) {
      if (state !== "ready" || this.lanes.has(name)) continue;
      const lane = { name, label, config, run, off: new Set(), order: null, now: null, lesions: {}, votes: {}, asked: 0, from: null };
      this.lanes.set(name, lane);
      this.study(lane);
    }
  }

  /** The lanes in the order of the bench, whichever was ready first. */
  get rows() {
    return [...this.bench.holders.keys()].map((name) => this.lanes.get(name)).filter(Boolean);
  }

  ask(lane, question, settings, more) {
    return this.bench.ask(question, settings, { of: lane.name, ...more });
  }

  /** Do something that takes a while and can be given up, behind what is under way; a fault is told. */
  long(words, work) {
    return (this.line = this.line.then(async () => {
      this.work = Object.assign(new AbortController(), { words });
      this.redraw();
      try {
        await work(this.work.signal);
      } catch (error) {
        if (error.name !== "AbortError") this.messages.complain(error.message);
      }
      this.work = null;
      this.redraw();
    }));
  }

  /** Take each branch out in turn, with both kinds of statistics. */
  study(lane) {
    return this.long(`Each branch of ${lane.label} is out in turn …`, async (signal) => {
      Object.assign(lane, await this.ask(lane, "describe"));
      for (const kind of KINDS) lane.lesions[kind] = await this.ask(lane, "lesions", { fresh: kind === "fresh" }, { signal });
      await this.look(lane);
      this.messages.announce(this.summary());
    });
  }

  /** The error of a lane as it is now; what was asked before is out of date. */
  async look(lane) {
    const asked = ++lane.asked;
    const [{ blocks }, { error }] = [await this.ask(lane, "describe"), await this.ask(lane, "evaluate", { fresh: this.fresh })];
    if (asked !== lane.asked) return;
    Object.assign(lane, { blocks, now: error, off: new Set(blocks.filter(({ branch }) => branch === 0).map(({ number }) => number)) });
    this.redraw();
  }

  async change(lane, question, settings) {
    try {
      this.messages.complain("");
      const found = await this.ask(lane, question, settings);
      if (found.order) lane.order = found.order;
      await this.look(lane);
      this.messages.announce(this.state(lane));
    } catch (error) {
      this.messages.complain(error.message);
    }
  }

  tap(lane, number) {
    if (!this.swapping) return this.change(lane, "set", { block: number, branch: lane.off.has(number) ? 1 : 0 });
    const { from } = lane;
    lane.from = from === null ? number : null;
    if (from !== null && from !== number) this.change(lane, "swap", { first: Math.min(from, number), second: Math.max(from, number) });
    this.redraw();
  }

  async restore() {
    for (const lane of this.lanes.values()) {
      Object.assign(lane, { order: null, from: null });
      await this.change(lane, "restore");
    }
  }

  setFresh() {
    this.fresh = !this.fresh;
    for (const lane of this.lanes.values()) this.look(lane);
    this.redraw();
  }

  vote() {
    const kind = KINDS[Number(this.fresh)];
    return this.long(`${MEMBERS} sub-networks vote …`, async (signal) => {
      for (const lane of this.lanes.values()) {
        await this.change(lane, "restore");
        Object.assign(lane, { order: null });
        lane.votes[kind] = { errors: [], together: [] };
        const progress = ({ part }) => {
          if (!part) return;
          lane.votes[kind].errors.push(part.error);
          lane.votes[kind].together.push(part.together);
          this.redraw();
        };
        lane.votes[kind] = await this.ask(lane, "vote", { members: MEMBERS, fresh: this.fresh }, { progress, signal });
      }
      this.messages.announce("The votes are counted: see the table.");
    });
  }

  state(lane) {
    const out = lane.off.size ? `${count(lane.off.size, "block")} out` : lane.order?.some((number, n) => number !== n + 1) ? "swapped" : "intact";
    return `${lane.label}, ${out}: test error ${percent(lane.now)} %`;
  }

  summary() {
    const done = this.rows.filter((lane) => lane.lesions.fresh);
    const say = ({ label, lesions }) => `${label} from ${percent(lesions.stored.intact)} to ${percent(mean(lesions.stored.errors))} % (fresh statistics: ${percent(mean(lesions.fresh.errors))} %)`;
    if (done.length) return `One branch out takes ${done.map(say).join(", ")}: test errors, mean over the blocks, n = 1 each.`;
    const { plain, residual } = this.data.recorded;
    return `Recorded, ${count(plain.errors.length, "seed")}: one block out takes plain-20 to ${percent(mean(plain.errors.flat()))} % test error and residual-20 to ${percent(mean(residual.errors.flat()))} %. Train both here and cut where you like.`;
  }

  series() {
    const done = this.rows.filter((lane) => lane.lesions.fresh);
    if (done.length) {
      return done.map((lane) => ({ name: lane.label, style: styleOf(lane.config), ...lane.lesions[KINDS[Number(this.fresh)]] }));
    }
    return Object.entries(this.data.recorded).map(([name, { errors, intact }]) => ({
      name: `${name}-20`, style: TWINS[name].style, intact: mean(intact), errors: errors[0].map((_, n) => mean(errors.map((seed) => seed[n]))),
    }));
  }

  /** A network as a row of blocks; a press takes a branch out or puts it back, or chooses what to swap. */
  lane(lane) {
    const stages = [1, 2, 3].map((stage) => lane.blocks?.filter((block) => block.stage === stage) ?? []);
    const block = ({ number }) => html`<button type="button" role="switch" class="rl-block rl-lesion" aria-checked=${!lane.off.has(number)} ?data-chosen=${lane.from === number}
      aria-label="Branch of block ${number}" title=${lane.lesions.fresh ? `alone out: ${percent(lane.lesions[KINDS[Number(this.fresh)]].errors[number - 1])} % test error` : nothing}
      @click=${() => this.tap(lane, number)}><span class="rl-lesion-box">${lane.order?.[number - 1] ?? number}</span></button>`;
    const intact = lane.lesions.fresh && lane.lesions[KINDS[Number(this.fresh)]].intact;
    return panel(lane.label, `${lane.now === null ? "…" : `${percent(lane.now)} % test error`}${intact === undefined ? "" : `, intact ${percent(intact)} %`}`, html`
      <div class="rl-network" style="--blocks:${Math.min(9, stages[0].length || 1)}">${stages.map((blocks) => html`<div class="rl-stage"><div class="rl-row">${blocks.map(block)}</div></div>`)}</div>`);
  }

  votes() {
    const rows = this.rows.flatMap((lane) => KINDS.filter((kind) => lane.votes[kind]?.errors.length).map((kind) => {
      const { errors, together } = lane.votes[kind];
      return [`${lane.label}, ${kind} statistics`, percent(lane.lesions[kind].intact), percent(median(errors)), `${percent(together.at(-1))}${errors.length < MEMBERS ? ` (${errors.length} so far)` : ""}`];
    }));
    return rows.length ? table(`Test error in percent: a vote of ${MEMBERS} sub-networks, each block in or out by a coin`, ["Network", "Whole", "One alone, median", "Vote"], rows) : nothing;
  }

  /** The next seeds that neither the bench nor the field has used. */
  moreJobs() {
    const used = [this.lanes.get("plain"), ...[...this.field.runs.values()].filter(({ result }) => result)].map(({ config }) => config.seed);
    return nextSeeds({ ...this.config, seed: Math.max(...used) }, 1).flatMap((config) => Object.entries(TWINS).map(([name, { shortcut }]) => ({ key: `${name}-${config.seed}`, config: { ...config, shortcut } })));
  }

  seeds() {
    if (!Object.keys(TWINS).every((name) => this.lanes.get(name)?.lesions.fresh)) return nothing;
    const found = (name, pick) => [this.lanes.get(name).lesions, ...[...this.field.runs.values()].filter(({ key, result, config }) => result && key.startsWith(name) && config.seed !== this.lanes.get(name).config.seed).map(({ result }) => result)].map(pick);
    const groups = Object.entries(TWINS).flatMap(([name, { style }]) => KINDS.map((kind) => ({ name: `${name}, ${kind}`, style, values: found(name, (one) => mean(one[kind].errors)) })));
    const more = groups[0].values.length > 1;
    return html`<div class="rl-bar rl-actions">${this.field.bar("Three more seeds", () => this.moreJobs(), { main: false })}</div>
      ${more ? dots("Test error with one branch out, mean over the blocks, by statistics", groups, { unit: " %", low: 0, high: 100 }) : nothing}
      ${more ? html`<p class="rl-key">${groups.map(({ name, values }) => `${name}: ${sayMean(values)}`).join("; ")}.</p>` : nothing}`;
  }

  view() {
    const lanes = this.rows;
    const [none, busy] = [!lanes.some((lane) => lane.lesions.fresh), Boolean(this.work)];
    return html`<div class="rl" role="group" aria-label="Lesion bench: take branches out of trained networks">${this.bench.view()}${this.messages.view()}
      <div class="rl-columns">${lanes.map((lane) => this.lane(lane))}</div>
      <div class="rl-bar rl-actions">${button("Swap two", () => { this.swapping = !this.swapping; for (const lane of lanes) lane.from = null; this.redraw(); }, { pressed: this.swapping, disabled: none, title: "Then tap two blocks of one stage" })}
      ${button("Put all back", () => this.restore(), { disabled: none })}${toggle("Fresh statistics", this.fresh, () => this.setFresh())}
      ${button(`Let ${MEMBERS} vote`, () => this.vote(), { disabled: none || busy })}${busy ? button("Stop", () => this.work.abort()) : nothing}</div>
      <output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${this.work?.words ?? (none ? this.data.from : "")}</span></output>
      ${chart(`Test error with one branch out, block by block. ${this.summary()}`, (box) => drawLesions(box, this.series()))}
      ${this.votes()}${this.seeds()}${this.bench.networks.view(this.bench.holder?.own)}
      ${folded("Figures as tables", this.open, (open) => { this.open = open; this.redraw(); }, () => this.table())}${this.messages.live()}</div>`;
  }

  table() {
    const series = this.series();
    return table("Test error in percent, one branch out", ["Block", ...series.map(({ name }) => name)], series[0].errors.map((_, n) => [n + 1, ...series.map(({ errors }) => percent(errors[n] ?? NaN))]));
  }

  close() {
    this.work?.abort();
    this.field.close();
    this.bench.close();
    this.screen.close();
  }
}

/** Lesions of a network that was just trained, with both kinds of statistics. */
async function study(ask) {
  return { stored: await ask("lesions"), fresh: await ask("lesions", { fresh: true }) };
}

/** Mount in `el`; `data`: id, config, recorded (lesions of recorded twins), from. Returns what ends it. */
export function mount(el, data, tools) {
  const one = new ManyPaths(el, data, tools);
  return () => one.close();
}
