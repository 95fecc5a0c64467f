// Untrained networks, built and asked anew whenever a setting changes: how large numbers are along the layers.

import { chart, drawSizes } from "./chart.mjs";
import { DEFAULTS } from "./config.mjs";
import { button, panel } from "./controls.mjs";
import { geometricMean } from "./seeds.mjs";
import { openSource } from "./sources.mjs";

/** Resolves once `el` is in sight or nearly so. */
const seen = (el) => new Promise((resolve) => {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    watch.disconnect();
    resolve();
  }, { rootMargin: "300px" });
  watch.observe(el);
});

/** One Worker and the network that it holds. Nothing is loaded before the instrument, in `el`, comes into sight. */
export class Untrained {
  constructor(el, { tools, messages, redraw }) {
    Object.assign(this, { el, tools, messages, redraw, source: null, built: "", wanted: null, busy: false, gone: false });
  }

  /**
   * `jobs`: [{ config, own, ask: [[question, settings] …] }], a network each (`own`: one of the reader's, from storage) and what
   * it is asked, from its untouched state; `take(answers)` gets a list a job. A call that comes while another one is at work waits for its end; of those that
   * wait only the last counts.
   */
  ask(jobs, take) {
    this.wanted = { jobs, take };
    if (!this.busy) this.work();
  }

  async work() {
    this.busy = true;
    while (this.wanted && !this.gone) {
      const { jobs, take } = this.wanted;
      this.wanted = null;
      try {
        const answers = [];
        for (const job of jobs) answers.push(await this.answer(job));
        this.messages.complain("");
        if (!this.gone) take(answers);
      } catch (error) {
        if (!this.gone) this.fail(error);
      }
    }
    this.busy = false;
    this.redraw();
  }

  async answer({ config, own, ask }) {
    const source = await (this.source ??= seen(this.el).then(() => openSource(this.tools)("browser")));
    const text = JSON.stringify([config, own?.id]);
    if (text === this.built) await source.question("restore");
    else {
      this.built = "";
      const { state, message } = await source.ask({ kind: "start", config: { ...DEFAULTS, ...config }, play: false, ...(own ? { file: own.file.slice(0) } : {}) });
      if (state === "failed") throw new Error(message);
      await source.question("keep");
      this.built = text;
    }
    const answers = [];
    for (const [question, settings] of ask) answers.push(await source.question(question, settings));
    return answers;
  }

  /** Say what went wrong; the next question tries another Worker. */
  fail(error) {
    this.messages.complain(error.message);
    this.messages.announce(error.message);
    this.end();
  }

  end() {
    this.source?.then((source) => source.close(), () => {});
    Object.assign(this, { source: null, built: "" });
  }

  close() {
    this.gone = true;
    this.end();
  }
}

/** The geometric mean of lists of equal length, place by place. */
export const geometric = (lists) => Array.from(lists[0], (_, n) => geometricMean(lists.map((list) => list[n])));

/** Lines of one network under several seeds: each thin, and their geometric mean in front. */
export const drawsOf = (lists, style, label) => [
  ...(lists.length > 1 ? lists.map((values) => ({ values, style, thin: true })) : []),
  { values: geometric(lists), style, front: true, label },
];

/** A panel with sizes along the layers; the rest as `drawSizes` takes it. */
export const sizePanel = (title, sub, words, lines, axis, options) => panel(title, sub, chart(words, (box) => drawSizes(box, lines, axis, { height: 216, ...options })));

/** The button for further draws of the weights; `draws` are those that are shown. */
export const moreDraws = (draws, press) => button("Three more draws", () => press(draws + 3), { title: "Draw the first weights three more times", disabled: draws > 6 }); // more would take over two seconds

/** How many draws of the weights a number speaks of. */
export const drawsText = (draws) => (draws > 1 ? `geometric mean of ${draws} draws of the weights` : "one draw of the weights");
