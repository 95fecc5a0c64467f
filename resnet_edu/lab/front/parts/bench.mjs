// The network at hand: one that is trained here at a press, or one of the reader's own; each in a Worker that can be asked.

import { DEFAULTS, nameOf } from "./config.mjs";
import { button, progressBar, select } from "./controls.mjs";
import { count, percent } from "./numbers.mjs";
import { OwnNetworks, keepNetwork, runOf } from "./own.mjs";
import { sayTime, secondsFor } from "./pace.mjs";
import { Runner, newRun } from "./runner.mjs";
import { endError } from "./seeds.mjs";
import { origin } from "./source-line.mjs";
import { openSource } from "./sources.mjs";
import { html } from "./ui.mjs";

/** What a press trains, by the settings in which most offers differ. */
export const offer = (name, depth, shortcut, steps) => ({ name, label: name, config: { depth, shortcut, steps, test_every: 50 } });

const empty = (offer) => ({ ...offer, config: { ...DEFAULTS, ...offer.config }, run: null, state: "empty", own: null, runner: null, waiting: null });

export class Bench {
  /**
   * `offers`: [{ name, label, config }], what a press trains (0 steps: untrained, and `ready` without a press); with `together` one press
   * trains all of them. `fits(config)` says which of the reader's networks can be used; `changed(holder)` is called when
   * another network is at hand, or the one at hand has become ready.
   */
  constructor({ tools, messages, redraw, offers, together = false, fits = () => true, changed = () => {}, name = "Network" }) {
    Object.assign(this, { tools, messages, redraw, together, fits, changed, name, offered: offers.map((offer) => offer.name) });
    this.holders = new Map(offers.map((offer) => [offer.name, empty(offer)]));
    this.chosen = this.offered[0];
    this.networks = new OwnNetworks({ tools, messages, redraw, listed: true, open: (entry) => this.open(entry) });
  }

  /** What is at hand: { name, label, config, run, state: "empty" | "training" | "ready" | "failed", own }. */
  get holder() {
    return this.holders.get(this.chosen);
  }

  get running() {
    return [...this.holders.values()].some(({ state }) => state === "training");
  }

  /** Take another network to hand, by its name ("own:3" is one of the reader's). */
  choose(name) {
    const entry = name.startsWith("own:") && this.networks.entries.find(({ id }) => name === `own:${id}`);
    if (entry) return this.networks.show(entry);
    this.chosen = name;
    const { holder } = this;
    if (holder.state === "ready") this.changed(holder);
    else if (holder.config.steps === 0) this.ready(name);
    this.redraw();
    return undefined;
  }

  /** Take one of the reader's networks to hand. */
  open(entry) {
    const run = runOf(entry);
    if (!this.fits(run.config)) throw new Error(`this instrument cannot use ${nameOf(run.config)}`);
    for (const [name, holder] of this.holders) if (holder.own) this.drop(name);
    const name = `own:${entry.id}`;
    const config = { ...run.config, switches: [], frozen: [], head: "", data: {} }; // as it is, on upright digits
    this.holders.set(name, { ...empty({ name, label: entry.name, config }), run, own: entry });
    this.chosen = name;
    this.redraw();
    return this.ready(name);
  }

  drop(name) {
    this.holders.get(name).runner?.close();
    this.holders.delete(name);
  }

  /** A promise of a holder that can be asked: it is trained or opened if need be; null if that came to nothing. */
  ready(name = this.chosen) {
    const holder = this.holders.get(name);
    return holder.state === "ready" ? Promise.resolve(holder) : holder.waiting ?? this.train(name);
  }

  /** Train the network of an offer, or open one of the reader's. */
  train(name = this.chosen) {
    const holder = this.holders.get(name);
    this.messages.complain("");
    holder.state = "training";
    holder.waiting = this.make(holder).then((fault) => {
      holder.waiting = null;
      if (fault) {
        holder.state = "failed";
        this.messages.complain(fault);
        this.messages.announce(fault);
      }
      if (holder.state === "ready" && this.holders.get(this.chosen) === holder) this.changed(holder);
      this.redraw();
      return holder.state === "ready" ? holder : null;
    });
    this.redraw();
    return holder.waiting;
  }

  /** Resolves to what went wrong, in words, or to nothing. */
  async make(holder) {
    const run = newRun(holder.own ? { ...holder.config, steps: 0 } : holder.config, "browser", true, holder.own ? { from: holder.own.file.slice(0) } : {});
    if (!holder.own) holder.run = run;
    const message = await new Promise((settle) => {
      holder.runner ??= new Runner(() => openSource(this.tools)("browser"), { notice() {}, wanted: () => true });
      Object.assign(holder.runner.on, { taken: () => this.redraw(), ended: (_, text) => settle(text), failed: (error) => settle(error.message) });
      holder.halt = async () => {
        await holder.runner.pause(run);
        settle(null);
      };
      holder.runner.begin(run);
    });
    if (run.state === "failed") return message;
    if (run.state === "paused" && !run.frames.length) {
      holder.state = "empty";
      return null;
    }
    try {
      await holder.runner.question("keep");
      if (run.state === "done" && !holder.own && endError(run) !== null) {
        await this.networks.change("This network could not be kept", () => keepNetwork(run, (...asked) => holder.runner.question(...asked)));
      }
    } catch (error) {
      return error.message;
    }
    holder.state = "ready";
    return null;
  }

  /** End what trains; a network that has begun to learn stays as it is, and can be used. */
  stop() {
    for (const holder of this.holders.values()) if (holder.state === "training") holder.halt();
  }

  /**
   * Ask the engine that holds a network (`engine/questions.mjs`). "keep" was asked when it became ready, so that "restore"
   * undoes whatever was done to it. Rejects with an AbortError while there is no network, or when it is trained anew.
   */
  async ask(question, settings = {}, { of = this.chosen, progress, signal } = {}) {
    const holder = this.holders.get(of);
    if (holder?.state !== "ready") throw new DOMException(`${holder?.label ?? of} is not trained yet`, "AbortError");
    return holder.runner.question(question, settings, { progress, signal });
  }

  press() {
    const names = this.together ? this.offered : [this.chosen];
    for (const name of names) {
      const holder = this.holders.get(name);
      if (["ready", "failed"].includes(holder.state) && holder.run) holder.config = { ...holder.config, seed: (holder.config.seed + 1) % 100000 };
      this.train(name);
    }
    this.messages.announce("Training starts.");
  }

  /** A holder in words. */
  line(holder) {
    const { run, state, label, config, own } = holder;
    if (state === "training") return `${label}: ${own ? "opening" : `training, step ${run?.frames.length ?? 0} of ${config.steps}`} …`;
    if (state !== "ready") return state === "failed" ? `${label} has failed.` : `${label}, seed ${config.seed}: not trained yet.`;
    if (!own && config.steps === 0) return `${label}: ${nameOf(config)}, untrained, seed ${config.seed}.`;
    const [end, steps] = [own?.test_error ?? endError(run), run.frames.length];
    const of = !own && steps < config.steps ? ` of ${config.steps}, stopped` : "";
    return `${own ? "" : `${label}: `}${nameOf(config)}${end === null ? "" : `, test error ${percent(end)} %`}${steps ? ` after ${count(steps)}${of}` : ""}. ${origin(run)}`;
  }

  trainButton() {
    const names = (this.together ? this.offered : [this.chosen]).map((name) => this.holders.get(name));
    const busy = names.filter(({ state }) => state === "training");
    if (busy.some(({ own }) => !own)) {
      const [made, all] = [busy.reduce((sum, { run }) => sum + (run?.frames.length ?? 0), 0), busy.reduce((sum, { config }) => sum + config.steps, 0)];
      return html`${button("■ Stop", () => this.stop(), { main: true, running: true })}${progressBar(made / all, `step ${made} of ${all}`)}`;
    }
    if (this.holder.own || names.every(({ config }) => config.steps === 0)) return "";
    const again = names.some(({ state }) => state === "ready");
    const what = `${again ? "Train another seed" : this.together ? `Train ${names.length === 2 ? "both" : `all ${names.length}`}` : "Train this network"}`;
    return button(`▶ ${what} (${sayTime(secondsFor(names.map(({ config }) => config)))})`, () => this.press(), { main: !again });
  }

  view() {
    const own = this.networks.entries.map((entry) => [`own:${entry.id}`, `yours: ${entry.name}`, !this.fits({ ...DEFAULTS, ...entry.config })]);
    const options = [...this.offered.map((name) => [name, this.holders.get(name).label]), ...own];
    const shown = this.together && !this.holder.own ? this.offered.map((name) => this.holders.get(name)) : [this.holder];
    return html`<div class="rl-bar rl-bench">${options.length > 1 ? select(this.name, options, this.chosen, (name) => this.choose(name)) : ""}${this.trainButton()}</div>
      ${shown.map((holder) => html`<p class="rl-key rl-holder">${this.line(holder)}</p>`)}`;
  }

  close() {
    for (const { runner } of this.holders.values()) runner?.close();
    this.networks.close();
  }
}
