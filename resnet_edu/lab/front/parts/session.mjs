// A reader's runs with one source at a time: what is chosen, what trains, what is shown. No document.

import { blocksOf, connections, keyOf, nameOf } from "./config.mjs";
import { frameAt } from "./chart.mjs";
import { count, percent } from "./numbers.mjs";
import { Runner, newRun } from "./runner.mjs";
import { PLACES } from "./source-line.mjs";

const KEPT = 6; // own runs that stay for comparison

/** The mean training error of the last twenty batches, or null. */
function smoothError(frames, step) {
  const part = frames.slice(Math.max(0, step - 20), step);
  return part.length ? part.reduce((sum, { error }) => sum + error, 0) / part.length : null;
}

/** `open(name)` is a promise of a source; `recordings` are unpacked runs; `messages` speak; `redraw()` draws. */
export class Session {
  constructor({ config, sources, recordings, shown, open, messages, redraw, attached }) {
    Object.assign(this, {
      config, sources, recordings, open, messages, redraw, attached, source: sources[0], cursor: null, current: null,
      runs: recordings.filter((run) => shown.includes(run.facts.name)), kind: config.shortcut === "none" ? "A" : config.shortcut,
      runners: {}, ended: () => "", saved: () => {},
    });
  }

  recorded(config = this.config) {
    return this.recordings.find((run) => keyOf(run.config) === keyOf(config)) ?? null;
  }

  /** The run in front if it can go on. */
  get own() {
    const run = this.current;
    return run && run.link === this.source && ["running", "paused"].includes(run.state) ? run : null;
  }

  get running() {
    return this.own?.state === "running";
  }

  /** The step that the views show; 0 before the first. */
  get step() {
    return this.current ? this.cursor ?? this.current.frames.length : 0;
  }

  summary() {
    const run = this.current;
    if (!run?.frames.length) return `${nameOf(this.config)}: ${run?.source === "own" ? "its file holds no curves" : "not trained yet"}.`;
    const tested = this.step ? run.frames.slice(0, this.step).findLast((frame) => frame.test_error !== undefined) : null;
    const trained = smoothError(run.frames, this.step);
    return `${nameOf(this.config)}: ${tested ? `test error ${percent(tested.test_error)} %` : "test error not measured yet"}`
      + `${trained === null ? "" : `, training error ${percent(trained)} %`} after ${count(this.step)}.`;
  }

  changed() {
    this.saved();
    this.redraw();
  }

  /** What works for the source `name`. */
  runner(name) {
    return (this.runners[name] ??= new Runner(() => this.open(name), {
      taken: (run) => this.taken(run), ended: (run, message) => this.finish(run, message), notice: (text) => this.messages.complain(text),
      wanted: (run) => run === this.current && this.attached(),
      failed: ({ message }) => {
        this.messages.complain(message);
        this.messages.announce(message);
      },
    }));
  }

  taken(run) {
    if (run === this.current) this.config.switches = run.config.switches;
    this.redraw();
  }

  finish(run, message) {
    if (run.state === "failed") this.messages.complain(message);
    const end = run.frames.findLast((frame) => frame.test_error !== undefined);
    const verdict = end ? this.ended(run, end) : "";
    this.messages.announce(run.state === "failed" ? message : `Finished. ${this.summary()}${verdict && ` ${verdict}`}`);
    this.saved();
  }

  /**
   * Start a run of the present configuration, `from` the weights in a file, with `words` for the live region; null if
   * there is none to be had.
   */
  begin(play, from = null, words = "") {
    const config = structuredClone(this.config);
    const replay = this.source === "recording";
    this.messages.complain(replay && !this.recorded(config)
      ? `There is no recording of this: ${nameOf(config)}. Recorded are the lab’s default settings at each depth.` : "");
    if (this.messages.complaint) return null;
    const run = newRun(config, this.source, play, replay ? { facts: this.recorded(config).facts } : { from });
    this.keep(run);
    Object.assign(this, { current: run, cursor: null });
    if (replay && matchMedia("(prefers-reduced-motion: reduce)").matches) {
      Object.assign(run, { frames: this.recorded(config).frames, state: "done" });
      this.finish(run);
      return run;
    }
    this.runner(run.link).start(run);
    if (words) this.messages.announce(words); // not of a replay that has jumped to its end, which says so
    return run;
  }

  /** Put `run` among the runs; it takes the place of one that is the same, and the oldest goes. */
  keep(run) {
    const key = keyOf(run.config);
    const last = this.current;
    this.runs = this.runs.filter((one) => one.source === "recording" || one.source === "own" || keyOf(one.config) !== key).filter((one) => one !== last || one.frames.length > 1);
    if (last?.link && last.frames.length > 1 && keyOf(last.config) !== key && !this.runs.includes(last)) this.runs.push(last);
    while (this.runs.filter((one) => one.link).length >= KEPT) this.runs.splice(this.runs.findIndex((one) => one.link), 1);
    this.runs = [...this.runs.filter((one) => one.link !== "recording"), run];
  }

  resume() {
    const run = this.own;
    this.messages.complain("");
    this.cursor = null;
    this.runner(run.link).play(run);
  }

  toggle() {
    if (this.running) this.stop();
    else if (this.own) {
      this.resume();
      this.messages.announce("Training goes on.");
    } else this.begin(true, null, `Training starts: ${nameOf(this.config)}.`);
    this.changed();
  }

  stop() {
    const run = this.own;
    if (run?.state !== "running") return;
    this.runner(run.link).pause(run);
    this.messages.announce(`Paused at step ${run.frames.length}.`);
  }

  single() {
    this.stop();
    const run = this.own ?? this.begin(false);
    if (!run) return;
    this.cursor = null;
    this.runner(run.link).step(run);
    this.changed();
  }

  reset() {
    this.stop();
    this.messages.complain("");
    if (this.current?.link) this.runs = this.runs.filter((one) => one !== this.current);
    this.config = { ...this.config, switches: this.config.switches.filter(([step]) => step === 0) };
    this.current = this.cursor = null;
    this.settle();
    this.messages.announce(`Reset. ${this.summary()}`);
  }

  /** Show the run of the present configuration, if there is one. */
  settle() {
    const key = keyOf(this.config);
    this.current = this.runs.findLast((run) => run.link && run.link === this.source && keyOf(run.config) === key) ?? this.recorded();
    this.changed();
  }

  /** Change the configuration: a running training starts anew with it, earlier runs stay for comparison. */
  choose(patch) {
    const playing = this.running;
    this.stop();
    this.messages.complain("");
    const config = { ...this.config, switches: this.config.switches.filter(([step]) => step === 0), ...patch };
    config.switches = config.switches.filter(([, block]) => block <= blocksOf(config));
    if (config.shortcut !== "none") this.kind = config.shortcut;
    Object.assign(this, { config, cursor: null });
    this.settle();
    if (playing && this.begin(true)) this.changed();
  }

  pickSource(name) {
    this.stop();
    this.source = name;
    if (name === "recording" && !this.recorded()) {
      const { depth, shortcut } = this.config;
      const near = this.recordings.find((run) => run.config.depth === depth && run.config.shortcut === shortcut) ?? this.recordings[0];
      this.config = structuredClone(near.config);
    }
    this.cursor = null;
    this.messages.complain("");
    this.settle();
    this.messages.announce(`Figures from ${PLACES[name]}. ${this.summary()}`);
  }

  /** Show a kept network's run among the others. */
  adopt(run) {
    this.stop();
    this.runs = [...this.runs.filter((one) => one.own !== run.own), run];
    this.pickRun(run);
  }

  /** Show `run`, and choose what it was made with. */
  pickRun(run) {
    this.stop();
    this.messages.complain("");
    this.config = structuredClone(run.config);
    if (this.config.shortcut !== "none") this.kind = this.config.shortcut;
    Object.assign(this, { current: run, cursor: null });
    this.changed();
    this.messages.announce(this.summary());
  }

  drop(run) {
    this.runs = this.runs.filter((one) => one !== run);
    if (this.current === run) this.settle();
    else this.redraw();
  }

  /** Cut or restore the shortcut of a block: in a run that has begun, from its next step on. */
  flip(block) {
    const on = connections(this.config)[block];
    const run = this.own;
    const said = `Shortcut of block ${block + 1} ${on ? "cut" : "restored"}`;
    if (this.source === "recording") return this.messages.complain("A recording cannot be changed. Choose “this browser” under “Figures from” to cut a shortcut.");
    if (run?.frames.length) {
      this.runner(run.link).request(run, { kind: "switch", block: block + 1, connected: !on }).then(() => this.changed());
      return this.messages.announce(`${said} from the next step on.`);
    }
    const now = connections(this.config);
    now[block] = !on;
    let { shortcut } = this.config;
    if (!now.some(Boolean) && shortcut === "A") shortcut = "none";
    const switches = now.flatMap((one, index) => (one === (shortcut !== "none") ? [] : [[0, index + 1, Number(one)]]));
    this.choose(switches.length === now.length && shortcut === "none" ? { shortcut: "A", switches: [] } : { shortcut, switches });
    this.messages.announce(`${said}. ${this.summary()}`);
  }

  /** Hold a run in this page while its tab is hidden, and let it go on afterwards. */
  hide() {
    const run = this.own;
    if (document.hidden && run?.state === "running" && run.link === "browser") {
      run.waiting = true;
      this.runner(run.link).request(run, { kind: "pause" });
    } else if (!document.hidden && run?.waiting) {
      run.waiting = false;
      this.runner(run.link).play(run);
      this.messages.announce("Training waited while this tab was hidden, and goes on.", true);
    }
  }

  /** The test error of the run in front at the last test up to `step`. */
  testedAt(step) {
    return frameAt(this.current.frames, step, "test_error").test_error;
  }

  close() {
    this.stop();
    for (const runner of Object.values(this.runners)) runner.queue.then(() => runner.close());
  }
}
