// One run: a network, the order of its batches, and a frame of figures after every step.

import { buildNet, generator } from "./net.mjs";

/** Unpack the digits as resnet_edu.lab.digits_text wrote them: a character a pixel ("a" is 0), then the labels. */
export function unpackDigits({ images, labels, train, mean, std }) {
  const values = Float32Array.from(images, (letter) => (letter.charCodeAt(0) - 97 - mean) / std);
  return { values, labels: Uint8Array.from(labels), train, pixels: 64, total: labels.length };
}

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

/** `config.switches` lists [step, block, connected]: what holds from the step after `step` on. */
export function startTraining(config, digits, options) {
  const net = buildNet(config, options);
  const batch = config.batch_size;
  const random = generator(config.seed + 1);
  const order = Array.from({ length: digits.train }, (_, index) => index);
  let [step, place] = [0, order.length];

  function show(indices) {
    for (let n = 0; n < batch; n++) {
      const index = indices[n % indices.length];
      net.labels[n] = digits.labels[index];
      for (let p = 0; p < digits.pixels; p++) net.images.data[p * batch + n] = digits.values[index * digits.pixels + p];
    }
  }
  function nextBatch() {
    if (place + batch > order.length) { // a new epoch: shuffle; an incomplete last batch is dropped
      for (let n = order.length - 1; n > 0; n--) {
        const other = Math.floor(random.uniform() * (n + 1));
        [order[n], order[other]] = [order[other], order[n]];
      }
      place = 0;
    }
    place += batch;
    return order.slice(place - batch, place);
  }
  function evaluate() {
    let [loss, wrong] = [0, 0];
    for (let from = digits.train; from < digits.total; from += batch) {
      const indices = Array.from({ length: Math.min(batch, digits.total - from) }, (_, n) => from + n);
      show(indices);
      const result = net.forward(false, indices.length);
      loss += result.loss * indices.length;
      wrong += result.wrong;
    }
    const count = digits.total - digits.train;
    return { test_loss: loss / count, test_error: (100 * wrong) / count };
  }

  return {
    net,
    get step() { return step; },
    /** Train on one batch; return the frame (resnet_edu/lab/__init__.py says what is in it). */
    next() {
      for (const [since, block, connected] of config.switches) {
        if (since === step) net.blocks[block - 1].connected = Boolean(connected);
      }
      show(nextBatch());
      const { loss, wrong } = net.forward(true);
      net.backward();
      const frame = {
        step: ++step, loss, error: (100 * wrong) / batch,
        norms: net.layers.map(({ grad }) => root(grad)),
        responses: net.blocks.map(({ branch }) => deviation(branch)),
      };
      if (!Number.isFinite(loss)) return frame;
      net.update();
      if (step % config.test_every === 0 || step === config.steps) Object.assign(frame, evaluate());
      return frame;
    },
  };
}
