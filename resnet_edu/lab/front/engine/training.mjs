// One run: a network, the order of its batches, and a frame of figures after every step.

import { selectDigits, showImages } from "./data.mjs";
import { buildNet } from "./net.mjs";
import { generator, shuffle } from "./random.mjs";

const root = (values) => {
  let sum = 0;
  for (let n = 0; n < values.length; n++) sum += values[n] * values[n];
  return Math.sqrt(sum);
};

/** Standard deviation of a block's response, the output of its last layer before the addition. */
function deviation({ data }) {
  let [sum, squares] = [0, 0];
  for (let n = 0; n < data.length; n++) {
    sum += data[n];
    squares += data[n] * data[n];
  }
  const mean = sum / data.length;
  return Math.sqrt(Math.max(0, squares / data.length - mean * mean));
}

/** Mean loss and error in percent over images of the data, in evaluation mode. */
export function evaluateOn(net, data, indices) {
  let [loss, wrong] = [0, 0];
  for (let from = 0; from < indices.length; from += net.batch) {
    const some = indices.slice(from, from + net.batch);
    showImages(net, data, some);
    const result = net.forward(false, some.length);
    loss += result.loss * some.length;
    wrong += result.wrong;
  }
  return { loss: loss / indices.length, error: (100 * wrong) / indices.length, count: indices.length };
}

/** Batches of images: an epoch's order is drawn anew each time; an incomplete last batch is dropped. */
function imageSource(net, data, config) {
  const random = generator(config.seed + 1);
  const order = [...data.order];
  const batch = config.batch_size;
  if (order.length < batch) {
    throw new Error(`a batch must not hold more images than there are: batch_size is ${batch}, the training set has ${order.length}; make per_class larger or batch_size smaller`);
  }
  let place = order.length;
  return () => {
    if (place + batch > order.length) {
      shuffle(order, random);
      place = 0;
    }
    place += batch;
    showImages(net, data, order.slice(place - batch, place));
  };
}

/** Batches for a stack: new inputs each time, rectified normal numbers; it must stay or move on by one channel. */
function mapSource(net, config) {
  const random = generator(config.seed + 1);
  const { data, count, bytes } = net.images;
  if (!["stay", "move on"].includes(config.target)) throw new Error(`target must be "stay" or "move on", got ${JSON.stringify(config.target)}`);
  const shift = config.target === "move on" ? bytes / 4 : 0;
  return () => {
    for (let n = 0; n < count; n++) data[n] = Math.max(0, random.normal());
    for (let n = 0; n < count; n++) net.wanted[(n + shift) % count] = data[n];
  };
}

/** `config.switches` lists [step, block, connected]: what holds from the step after `step` on. */
export function startTraining(given, digits, options) {
  const net = buildNet(given, options);
  const { config } = net;
  const classifies = config.task !== "stack";
  const data = classifies ? selectDigits(digits, config.data) : null;
  const nextBatch = classifies ? imageSource(net, data, config) : mapSource(net, config);
  let step = 0;
  return {
    net, data, config,
    get step() { return step; },
    /** Train on one batch; return the frame (resnet_edu/lab/__init__.py says what is in it). */
    next() {
      for (const [since, block, connected] of config.switches) {
        if (since === step) net.blocks[block - 1].connected = Boolean(connected);
      }
      nextBatch();
      const { loss, wrong } = net.forward(true);
      net.backward();
      const frame = {
        step: ++step, loss, error: (100 * wrong) / config.batch_size,
        norms: net.layers.map(({ grad }) => root(grad)),
        responses: net.blocks.map(({ branch }) => deviation(branch)),
      };
      if (!Number.isFinite(loss)) return frame;
      net.update();
      if (classifies && (step % config.test_every === 0 || step === config.steps)) {
        const { loss: test_loss, error: test_error } = evaluateOn(net, data, data.test);
        Object.assign(frame, { test_loss, test_error });
      }
      return frame;
    },
  };
}
