// The training source of a page: answers the protocol of resnet_edu/lab/__init__.py inside a Worker.

import { unpackDigits } from "./data.mjs";
import { startTraining } from "./training.mjs";

/** Answer requests on `port` (a Worker's own scope, or anything with postMessage and onmessage). */
export function serve(port) {
  let digits, training, config, frames, state, message;
  const SLICE = 25; // milliseconds of training between looks into the letter box
  const turn = new MessageChannel(); // setTimeout would wait 4 ms each time
  turn.port1.onmessage = () => work();

  function advance() {
    const frame = training.next();
    frames.push(frame);
    if (!Number.isFinite(frame.loss)) {
      state = "failed";
      message = `The loss is no longer a number at step ${frame.step}: the weights have grown without bound.`
        + " Try a smaller learning rate or batch normalisation.";
    } else if (training.step >= config.steps) state = "done";
  }
  function work() {
    for (const start = performance.now(); state === "running" && performance.now() - start < SLICE;) advance();
    if (state === "running") turn.port2.postMessage(0);
  }
  const play = () => {
    if (state !== "paused") return;
    state = "running";
    turn.port2.postMessage(0);
  };
  const requests = {
    hello(request) {
      digits = unpackDigits(request.digits);
    },
    start(request) {
      config = request.config;
      training = startTraining(config, digits);
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
      requests[request.kind](request);
      const since = request.since ?? 0;
      port.postMessage({
        id: request.id, state, message, switches: config?.switches, device: training?.net.kernels,
        frames: frames?.slice(since) ?? [], // frames are contiguous: frame n has step n + 1
      });
    } catch (error) {
      port.postMessage({ id: request.id, state: "failed", message: String(error), frames: [] });
    }
  };
}
