// One source at work: a run asks it for frames, one request at a time.

import { measured } from "./pace.mjs";

const POLL = 100; // milliseconds between questions to a source: ten drawings a second

/** A run that a source is to make of `config`. */
export const newRun = (config, source, play, more = {}) => ({
  config: structuredClone(config), frames: [], source, link: source, state: play ? "running" : "paused", date: new Date().toISOString(), device: null, speed: 0, ...more,
});

/**
 * `open()` is a promise of a source. `on.taken(run)` follows every reply, `on.ended(run, message)` the last one,
 * `on.failed(error)` a source that is lost, `on.notice(text)` one that lets us wait; `on.wanted(run)` says whether to ask on.
 */
export class Runner {
  constructor(open, on) {
    Object.assign(this, { open, on, source: null, queue: Promise.resolve() });
  }

  /** Send one request for `run` after those before it; take in the reply. */
  request(run, message) {
    this.queue = this.queue.then(async () => {
      if (run.state === "failed" || run.state === "stopped") return;
      try {
        const before = performance.now();
        const source = await (this.source ??= this.open());
        source.notice = this.on.notice;
        this.take(run, await source.ask({ ...message, since: message.kind === "start" ? 0 : run.frames.length }), before);
      } catch (error) {
        if (run.state === "stopped") return;
        run.state = "failed";
        this.close();
        this.on.failed(error);
      }
    });
    return this.queue;
  }

  /** Ask the engine behind the source about the network that it holds (`engine/questions.mjs`). */
  question(name, settings, more) {
    const asked = this.queue.then(async () => (await this.source).question(name, settings, more));
    this.queue = asked.catch(() => {});
    return asked;
  }

  take(run, reply, now) {
    run.frames.push(...reply.frames);
    if (reply.switches) run.config.switches = reply.switches;
    run.device = reply.device ?? run.device;
    const since = run.mark ? now - run.mark.time : 0;
    if (reply.state === "running" && since > 0 && since < 5000) { // longer: the tab was hidden
      run.speed = (1000 * (run.frames.length - run.mark.step)) / since;
      if (run.link === "browser" && run.speed) measured(run.config, run.speed);
    }
    if (run.frames.length && (!run.mark || since > 2000)) run.mark = { time: now, step: run.frames.length };
    const before = run.state;
    run.state = reply.state;
    if (run.state !== before && (run.state === "failed" || run.state === "done")) this.on.ended(run, reply.message);
    this.on.taken(run);
  }

  async follow(run) {
    while (run.state === "running" && this.on.wanted(run)) {
      await new Promise((resolve) => setTimeout(resolve, POLL));
      if (!document.hidden && run.state === "running" && this.on.wanted(run)) await this.request(run, { kind: "poll" });
    }
    if (run.state === "running") this.pause(run); // its picture has gone
  }

  start(run) {
    const asked = this.request(run, { kind: "start", config: run.config, play: run.state === "running", ...(run.from ? { file: run.from } : {}) });
    if (run.state === "running") this.follow(run);
    return asked;
  }

  /** Start a run and follow it to its end; one of no steps is at its end once its network is built. */
  async begin(run) {
    run.state = run.config.steps ? "running" : "paused";
    await this.start(run);
    if (run.config.steps || run.state !== "paused") return;
    run.state = "done";
    this.on.ended(run, null);
  }

  play(run) {
    run.state = "running";
    this.request(run, { kind: "play" }).then(() => this.follow(run));
  }

  pause(run) {
    run.state = "paused";
    return this.request(run, { kind: "pause" });
  }

  /** Train one step and wait until it shows: a kernel answers before it is done. */
  async step(run) {
    const before = run.frames.length;
    await this.request(run, { kind: "step" });
    for (let tries = 0; tries < 600 && run.state === "paused" && run.frames.length === before; tries++) {
      await new Promise((resolve) => setTimeout(resolve, POLL));
      await this.request(run, { kind: "poll" });
    }
  }

  close() {
    this.source?.then((source) => source.close(), () => {});
    this.source = null;
  }
}
