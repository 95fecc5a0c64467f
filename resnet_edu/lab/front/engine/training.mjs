// One run: a network, the order of its batches, and a frame of figures after every step.

import { selectDigits, showImages } from "./data.mjs";
import { buildNet } from "./net.mjs";
import { generator, shuffle } from "./random.mjs";
import { norm, responseOf } from "./sizes.mjs";
import { newHead, startNearIdentity } from "./surgery.mjs";
import { fillNetwork, readNetwork } from "./weights.mjs";

/** Mean loss and error in percent over images of the data, in evaluation mode; a generator that yields now and then. */
export function* evaluating(net, data, indices) {
  let [loss, wrong] = [0, 0];
  for (let from = 0; from < indices.length; from += net.batch) {
    const some = indices.slice(from, from + net.batch);
    showImages(net, data, some);
    const result = net.forward(net.config.bug === "no eval", some.length);
    loss += result.loss * some.length;
    wrong += result.wrong;
    yield { done: from + some.length, total: indices.length };
  }
  return { loss: loss / indices.length, error: (100 * wrong) / indices.length, count: indices.length };
}

/** Run a generator to its end and return what it returns. */
export function finish(generated) {
  for (;;) {
    const { done, value } = generated.next();
    if (done) return value;
  }
}

/** Run a generator as a part of another one: what it yields becomes `progress`. */
export function* within(generated, progress) {
  try {
    for (;;) {
      const { done, value } = generated.next();
      if (done) return value;
      yield progress;
    }
  } finally {
    generated.return(); // a study that is given up puts back what it changed
  }
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

/** Scale the whole gradient down to the norm `limit`, if it is above (torch.nn.utils.clip_grad_norm_). */
function clipGradient(parameters, limit) {
  const trained = parameters.filter(({ frozen }) => !frozen);
  const factor = limit / (Math.sqrt(trained.reduce((sum, { grad }) => sum + norm(grad) ** 2, 0)) + 1e-6);
  if (factor < 1) for (const { grad } of trained) for (let n = 0; n < grad.length; n++) grad[n] *= factor;
}

/** Noise for a chain, the same each time: what enters, and the gradient that is sent back. */
const noiseSource = (net, { seed }) => () => {
  const random = generator(seed + 1);
  for (const numbers of [net.images.data, net.wanted]) numbers.forEach((_, n) => { numbers[n] = random.normal(); });
};

/**
 * Begin a run. `config.switches` lists [step, block, connected]: what holds from the step after `step` on. With `file` (a
 * stored network) it goes on from those weights, with a new linear layer where `config.head` is "new".
 */
export function startTraining(given, digits, { file, ...options } = {}) {
  const read = file && readNetwork(file);
  const net = buildNet({ ...given, ...read?.settings }, options);
  const { config } = net;
  if (read) fillNetwork(net, read);
  else if (config.identity_start !== undefined) startNearIdentity(net, config.identity_start);
  if (read && config.head === "new") newHead(net, config.seed);
  const classifies = config.task === "classify";
  const data = classifies ? selectDigits(digits, config.data ?? {}) : null;
  const source = { stack: mapSource, chain: noiseSource }[config.task];
  const nextBatch = classifies ? imageSource(net, data, config) : source(net, config);
  let step = 0;
  return {
    net, data, config, feed: nextBatch,
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
        norms: net.layers.map(({ grad }) => norm(grad)),
        responses: net.blocks.map(({ branch }) => responseOf(branch)),
      };
      if (!Number.isFinite(loss)) return frame;
      if (config.clip_norm) clipGradient(net.parameters, config.clip_norm);
      net.update();
      if (classifies && (step % config.test_every === 0 || step === config.steps)) {
        const { loss: test_loss, error: test_error } = finish(evaluating(net, data, data.test));
        Object.assign(frame, { test_loss, test_error });
      }
      return frame;
    },
  };
}
