// Many trainings at once, on a few Workers; after each one the network that has just learned can be asked.

import { DEFAULTS } from "./config.mjs";
import { button, progressBar } from "./controls.mjs";
import { keepNetwork } from "./own.mjs";
import { sayTime, secondsFor, workersHere } from "./pace.mjs";
import { Runner, newRun } from "./runner.mjs";
import { openSource } from "./sources.mjs";
import { html } from "./ui.mjs";

/** One Worker takes runs from the list until it is empty. */
async function labour(tools, waiting, { signal, taken, finished, after }) {
  let settle;
  const lost = (error) => settle(error.message);
  const runner = new Runner(() => openSource(tools)("browser"), {
    taken, notice() {}, wanted: () => !signal?.aborted, ended: (run, message) => settle(message), failed: lost,
  });
  const ask = (question, settings, more) => runner.question(question, settings, { signal, ...more });
  while (waiting.length && !signal?.aborted) {
    const run = waiting.shift();
    const stop = () => {
      if (run.state !== "done") run.state = "stopped";
      settle(null);
    };
    signal?.addEventListener("abort", stop, { once: true });
    run.message = await new Promise((resolve) => {
      settle = resolve;
      runner.begin(run);
    });
    try {
      if (run.state === "done") run.result = await after?.(ask, run);
    } catch (error) {
      Object.assign(run, signal?.aborted ? { state: "stopped" } : { state: "failed", message: error.message });
    }
    signal?.removeEventListener("abort", stop);
    finished(run);
  }
  runner.close();
}

/**
 * Train `jobs`, a list of { key, config, file }, and resolve to their runs in the same order. `config` is what differs
 * from the defaults (0 steps: an untrained network), `file` a network to go on from. `frames(run)` follows what is learned
 * some ten times a second, `done(run)` each end, `progress({ done, total, steps, of, left })` both; `after(ask, run)` asks the
 * network that was just trained (`ask(question, settings, { progress })`), and what it resolves to becomes `run.result`. Ends
 * early by `signal`, an AbortSignal: what was not done is then "stopped". A fault makes a run "failed", with its `message`.
 */
export async function trainAll(tools, jobs, { signal, begun, progress, frames, done, after, workers = workersHere() } = {}) {
  const runs = jobs.map(({ key, config, file }) => newRun({ ...DEFAULTS, ...config }, "browser", true, { key, state: "waiting", from: file }));
  const started = performance.now();
  const total = secondsFor(runs.map(({ config }) => config), 1);
  const report = () => {
    const shares = runs.map(({ config, frames: made, state }) => (["waiting", "running"].includes(state) ? secondsFor([{ ...config, steps: made.length }]) : secondsFor([config])));
    const share = shares.reduce((sum, one) => sum + one, 0) / (secondsFor(runs.map(({ config }) => config), 1) || 1);
    progress?.({
      done: runs.filter(({ state }) => !["waiting", "running"].includes(state)).length, total: runs.length,
      steps: runs.reduce((sum, run) => sum + run.frames.length, 0), of: runs.reduce((sum, { config }) => sum + config.steps, 0),
      left: share > 0.1 ? ((performance.now() - started) / 1000) * (1 / share - 1) : total / workers,
    });
  };
  begun?.(runs);
  const on = { signal, after, taken(run) { frames?.(run); report(); }, finished(run) { done?.(run); report(); } };
  const waiting = [...runs];
  await Promise.all(Array.from({ length: Math.min(workers, runs.length) }, () => labour(tools, waiting, on)));
  for (const run of waiting) run.state = "stopped";
  return runs;
}

/** Whether nothing of a field is left to be done, asked while its `done` is called. */
export const settled = ({ runs }) => [...runs.values()].every(({ state }) => !["waiting", "running"].includes(state));

/** Trainings behind a button. `runs` holds them by their keys; one that is done is not trained again. */
export class Field {
  /**
   * `after` and `done` as in `trainAll`; `finished()` follows the end of a press, also a stopped one; `keep` stores every
   * network that has learned among the reader's own.
   */
  constructor({ tools, messages, redraw, after, done, finished, keep = false }) {
    Object.assign(this, { tools, messages, redraw, after, done, finished, keep, runs: new Map(), control: null, at: null });
  }

  get running() {
    return Boolean(this.control);
  }

  missing(jobs) {
    return (typeof jobs === "function" ? jobs() : jobs).filter(({ key }) => this.runs.get(key)?.state !== "done");
  }

  /** Train what is missing of `jobs`; resolves once they have ended or were stopped. */
  async start(jobs) {
    if (this.running) return;
    const control = (this.control = new AbortController());
    this.at = null;
    this.messages.complain("");
    const runs = await trainAll(this.tools, this.missing(jobs), {
      signal: control.signal, begun: (all) => all.forEach((run) => this.runs.set(run.key, run)), frames: () => this.redraw(),
      done: (run) => this.done?.(run),
      progress: (at) => {
        this.at = at;
        this.redraw();
      },
      after: async (ask, run) => {
        if (this.keep) await keepNetwork(run, ask).catch((error) => this.messages.complain(`This network could not be kept: ${error.message}`));
        return this.after?.(ask, run);
      },
    });
    const failed = runs.find(({ state }) => state === "failed");
    if (this.control !== control) return; // it was let go of
    this.control = null;
    if (failed) this.messages.complain(failed.message);
    this.finished?.();
    this.redraw();
  }

  stop() {
    this.control?.abort();
  }

  /** Let go of all runs, of those under way, too. */
  forget() {
    this.stop();
    this.control = null;
    this.runs.clear();
    this.redraw();
  }

  /** The button `label` with the time that it will take, or a stop with the progress. */
  bar(label, jobs, { disabled = false, main = true } = {}) {
    if (this.running) {
      const { done = 0, total = 1, steps = 0, of = 1, left } = this.at ?? {};
      const words = this.at ? `${done} of ${total} trained, ${sayTime(left)} left` : "starting …";
      return html`${button("■ Stop", () => this.stop(), { main, running: true })}${progressBar(steps / of, words)}`;
    }
    const missing = this.missing(jobs);
    const text = missing.length ? `▶ ${label} (${sayTime(secondsFor(missing.map(({ config }) => ({ ...DEFAULTS, ...config }))))})` : label;
    return button(text, () => this.start(jobs), { main, disabled: disabled || !missing.length });
  }

  close() {
    this.stop();
  }
}
