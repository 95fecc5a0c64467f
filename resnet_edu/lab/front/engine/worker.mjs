// The training source of a page: answers the protocol of resnet_edu/lab/__init__.py inside a Worker.

import { unpackDigits } from "./data.mjs";
import { answer } from "./questions.mjs";
import { startTraining } from "./training.mjs";
import { readNetwork } from "./weights.mjs";

const SLICE = 25; // milliseconds of work between looks into the letter box

/** The typed arrays and buffers of a value: they go to the page without a copy. */
function buffersOf(value) {
  if (value instanceof ArrayBuffer) return [value];
  if (ArrayBuffer.isView(value)) return [value.buffer];
  return value && typeof value === "object" ? Object.values(value).flatMap(buffersOf) : [];
}

/** Questions in line: one is worked on at a time, in slices, and can be given up. */
function questionLine(port, answerTo) {
  const waiting = [];
  const finish = (reply, transfer = []) => {
    const { request, generated } = waiting.shift();
    generated?.return(); // puts back what was changed for a while
    port.postMessage({ id: request.id, ...reply }, transfer);
  };
  return {
    get busy() { return waiting.length > 0; },
    add: (request) => waiting.push({ request, generated: null }),
    cancel(id) {
      const index = waiting.findIndex(({ request }) => request.id === id);
      if (index === 0) finish({ cancelled: true });
      if (index > 0) port.postMessage({ id: waiting.splice(index, 1)[0].request.id, cancelled: true });
    },
    clear() {
      while (waiting.length) finish({ cancelled: true });
    },
    work(until) {
      const first = waiting[0];
      try {
        first.generated ??= answerTo(first.request);
        let progress;
        do {
          const { done, value } = first.generated.next();
          if (done) return finish({ value }, [...new Set(buffersOf(value))]);
          progress = value;
          if (value.part) port.postMessage({ id: first.request.id, progress: value });
        } while (performance.now() < until);
        if (!progress.part) port.postMessage({ id: first.request.id, progress });
      } catch (error) {
        finish({ error: error.message });
      }
    },
  };
}

/** Answer requests on `port` (a Worker's own scope, or anything with postMessage and onmessage). */
export function serve(port) {
  let digits, training, config, frames, state, message;
  const turn = new MessageChannel(); // setTimeout would wait 4 ms each time
  const line = questionLine(port, ({ question, settings }) => (question === "open" ? open(settings) : answer(training, question, settings)));
  turn.port1.onmessage = () => work();

  function* open({ file, config: wanted = {} }) {
    const { metadata } = readNetwork(file);
    training = startTraining({ ...metadata.config, frozen: [], data: {}, head: "", ...wanted, switches: [] }, digits, { file });
    ({ config } = training);
    [frames, state, message] = [[], "paused", null];
    return { facts: metadata, ...yield* answer(training, "describe") };
  }
  function advance() {
    const frame = training.next();
    frames.push(frame);
    if (!Number.isFinite(frame.loss)) {
      state = "failed";
      message = `The loss is no longer a number at step ${frame.step}: the weights have grown without bound.`
        + " Try a smaller learning rate or batch normalisation.";
    } else if (training.step >= config.steps) state = "done";
  }
  let working = false; // whether a turn is under way
  function work() {
    working = false;
    const until = performance.now() + SLICE;
    if (line.busy) line.work(until);
    else while (state === "running" && performance.now() < until) advance();
    goOn();
  }
  function goOn() {
    if (working || (state !== "running" && !line.busy)) return;
    working = true;
    turn.port2.postMessage(0);
  }
  const play = () => {
    if (state === "paused") state = "running";
  };
  const requests = {
    hello(request) {
      digits = unpackDigits(request.digits);
    },
    start(request) {
      line.clear();
      training = startTraining(request.config, digits, { file: request.file });
      config = Object.assign(training.config, { switches: request.config.switches });
      [frames, state, message] = [[], "paused", null];
      if (request.play) play();
    },
    play,
    pause() {
      if (state === "running") state = "paused";
    },
    step() {
      if (state === "paused") advance();
    },
    switch({ block, connected }) {
      config.switches.push([training.step, block, Number(connected)]);
    },
    poll() {},
  };
  port.onmessage = ({ data: request }) => {
    try {
      if (request.kind === "ask") line.add(request);
      else if (request.kind === "cancel") line.cancel(request.of);
      else {
        requests[request.kind](request);
        const since = request.since ?? 0;
        port.postMessage({
          id: request.id, state, message, switches: config?.switches, device: training?.net.kernels,
          frames: frames?.slice(since) ?? [], // frames are contiguous: frame n has step n + 1
        });
      }
    } catch (error) {
      port.postMessage({ id: request.id, state: "failed", message: String(error), frames: [] });
    }
    goOn();
  };
}
