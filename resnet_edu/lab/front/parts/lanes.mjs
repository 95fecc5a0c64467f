// Trainings side by side, in step: one lane a configuration, each in a Worker of its own; in a lane one run a seed. No document.

import { Runner, newRun } from "./runner.mjs";
import { openSource } from "./sources.mjs";

const testedBy = (run, step) => run.frames.slice(0, step).findLast((frame) => frame.test_error !== undefined)?.test_error ?? null;

export class Lanes {
  /**
   * `count` lanes. `on.ended(run, runner)` follows a run that is done, `on.finished()` the last one of all,
   * `on.failed(text)` a fault; `attached()` says whether the picture is still there.
   */
  constructor(tools, count, { redraw, attached, on }) {
    Object.assign(this, { redraw, on, lanes: [], live: false, waiting: 0 });
    this.runners = Array.from({ length: count }, () => new Runner(() => openSource(tools)("browser"), {
      taken: redraw, notice: () => {}, wanted: attached, ended: (run, message) => this.ended(run, message), failed: (error) => on.failed(error.message),
    }));
  }

  get runs() {
    return this.lanes.flat();
  }

  get running() {
    return this.live && this.runs.some(({ state }) => state === "running");
  }

  get paused() {
    return this.live && this.runs.some(({ state }) => state === "paused");
  }

  /** The steps that the first runs have done. */
  get last() {
    return Math.max(0, ...this.lanes.map(([run]) => run?.frames.length ?? 0));
  }

  /** Show finished runs, one a lane or none. */
  settle(runs) {
    Object.assign(this, { lanes: runs.map((run) => (run ? [run] : [])), live: false, waiting: 0 });
    this.redraw();
  }

  /** Start one run a lane. */
  begin(configs, play) {
    Object.assign(this, { live: true, waiting: 0, lanes: configs.map((config) => [newRun(config, "browser", play)]) });
    this.lanes.forEach(([run], index) => this.runners[index].start(run));
    this.redraw();
  }

  /** Let `act(runner, run)` do something with the run of each lane that is in `state`. */
  each(state, act) {
    this.lanes.forEach((lane, index) => lane.filter((run) => run.state === state).slice(-1).forEach((run) => act(this.runners[index], run)));
    this.redraw();
  }

  pause() {
    this.each("running", (runner, run) => runner.pause(run));
  }

  play() {
    this.each("paused", (runner, run) => runner.play(run));
  }

  step() {
    this.each("paused", (runner, run) => runner.step(run));
  }

  /** Train `count` further seeds in every lane, one after the other. */
  more(count) {
    this.waiting += count;
    this.lanes.forEach((lane, index) => lane.at(-1).state === "done" && this.next(index));
    this.redraw();
  }

  next(index) {
    const lane = this.lanes[index];
    if (lane.length > this.waiting) return;
    const { config } = lane[0];
    lane.push(newRun({ ...config, seed: (config.seed + lane.length) % 100000 }, "browser", true, { thin: true }));
    this.runners[index].start(lane.at(-1));
  }

  ended(run, message) {
    const index = this.lanes.findIndex((lane) => lane.includes(run));
    if (run.state === "failed") this.on.failed(message);
    if (run.state === "done") this.on.ended(run, this.runners[index]);
    if (index >= 0 && run.state !== "failed") this.next(index);
    if (this.runs.every(({ state }) => state === "done")) this.on.finished();
  }

  /** Hold the runs while the tab is hidden; returns whether they go on now. */
  hide() {
    if (document.hidden && this.running) {
      this.hidden = true;
      this.pause();
    } else if (!document.hidden && this.hidden) {
      this.hidden = false;
      this.play();
      return true;
    }
    return false;
  }

  /** The test errors of a lane at `step`: of its first seed, and of those that got so far. */
  errors(lane, step) {
    return lane.filter((run) => !run.thin || run.frames.length >= step).map((run) => testedBy(run, step)).filter((error) => error !== null);
  }

  close() {
    this.pause();
    for (const runner of this.runners) runner.queue.then(() => runner.close());
  }
}
