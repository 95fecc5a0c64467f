// What networks are made of: tensors, parameters, and operations that know their way back.
//
// An operation is { y, parameters, forward(training), backward() }; it runs where `active()` says so. A gradient is
// written by the first operation that reaches it on the way back and added to by the next ones (`tensor.filled`), so
// nothing is cleared; an operation that no gradient reaches is passed by, and its parameters get zeros.

import { makeKernels } from "./kernels.mjs";

const EPSILON = 1e-5; // of batch normalisation: PyTorch's value
const FLOAT = 4; // bytes

/** Where networks are put together. `finish()` gives everything its memory, once all of it is known. */
export function makeBuilder(batch, options) {
  const builder = { batch, tensors: [], parameters: [], operations: [], statistics: [], shapes: [], scratch: [], kernels: null };
  builder.tensor = (channels, size, hasGradient = true) => {
    const made = { channels, size, count: channels * size * size * batch, bytes: FLOAT * size * size * batch, hasGradient, filled: false };
    builder.tensors.push(made);
    return made;
  };
  builder.parameter = (name, count, extra) => {
    const made = { name, count, frozen: false, ...extra };
    builder.parameters.push(made);
    return made;
  };
  builder.numbers = (count, start = 0) => { // a few numbers that kernels read or write
    const made = { count, start };
    builder.scratch.push(made);
    return made;
  };
  builder.operation = (made) => {
    builder.operations.push({ active: () => true, parameters: [], ...made });
    return made.y;
  };
  builder.finish = () => giveMemory(builder, options);
  return builder;
}

/** One block of memory: a margin (taps begin before their image), parameters, gradients, velocities, and the rest. */
function giveMemory(builder, options) {
  const { tensors, parameters, scratch, batch } = builder;
  const room = (count) => (count + 7) & ~7; // whole pairs of vectors
  const margin = room(batch * Math.max(...tensors.map(({ size }) => size + 2)));
  const wanted = [];
  for (const key of ["data", "grad", "velocity"]) for (const owner of parameters) wanted.push([owner, key]);
  for (const owner of scratch) wanted.push([owner, "data"]);
  for (const owner of tensors) wanted.push([owner, "data"], ...(owner.hasGradient ? [[owner, "grad"]] : []));
  const total = wanted.reduce((sum, [owner]) => sum + room(owner.count), margin);
  const kernels = builder.kernels = makeKernels(total, builder.shapes, options);
  let offset = margin;
  for (const [owner, key] of wanted) {
    owner[key] = new Float32Array(kernels.buffer, FLOAT * offset, owner.count);
    owner[key === "data" ? "at" : `${key}At`] = FLOAT * offset;
    offset += room(owner.count);
  }
  for (const { data, start } of scratch) data.fill(start);
  return kernels;
}

/** The gradient of `x` is about to be written: 1 if it must be added to, else 0. */
function reach(x) {
  const before = Number(x.filled);
  x.filled = true;
  return before;
}

/** A convolution with padding (k - 1) / 2; `hasBias` where no normalisation follows. */
export function convolution(builder, name, x, channels, k, stride, hasBias) {
  const y = builder.tensor(channels, Math.ceil(x.size / stride));
  const shape = { inputs: x.channels, outputs: channels, sizeIn: x.size, sizeOut: y.size, batch: builder.batch, k, stride };
  const text = JSON.stringify(shape);
  let index = builder.shapes.findIndex((one) => JSON.stringify(one) === text);
  if (index < 0) index = builder.shapes.push(shape) - 1;
  const taps = k * k;
  const weight = builder.parameter(`${name}.weight`, taps * x.channels * channels, { fan: taps * channels, k, inputs: x.channels, channels });
  const bias = hasBias ? builder.parameter(`${name}.bias`, channels) : null;
  builder.operation({
    y, parameters: bias ? [weight, bias] : [weight],
    forward() {
      builder.kernels.convolutions[index].forward(x.at, weight.at, y.at, bias ? bias.at : 0);
    },
    backward() {
      const kernel = builder.kernels.convolutions[index];
      kernel.weightGradient(x.at, y.gradAt, weight.gradAt);
      for (let c = 0; bias && c < channels; c++) {
        let sum = 0;
        for (let n = (c * y.bytes) / FLOAT; n < ((c + 1) * y.bytes) / FLOAT; n++) sum += y.grad[n];
        bias.grad[c] = sum;
      }
      if (x.hasGradient) kernel.inputGradient(y.gradAt, weight.at, x.gradAt, reach(x));
    },
  });
  return { y, weight, bias };
}

/** A ReLU. */
export function rectifier(builder, x) {
  const y = builder.tensor(x.channels, x.size);
  const [zero, one, factors] = [builder.numbers(x.channels), builder.numbers(x.channels, 1), builder.numbers(3 * x.channels)];
  return builder.operation({
    y,
    forward() {
      builder.kernels.affine(x.at, y.at, zero.at, one.at, zero.at, x.channels, x.bytes, 1);
    },
    backward() {
      factors.data.fill(1, 0, x.channels);
      builder.kernels.affineBack(x.at, y.at, y.gradAt, x.gradAt, zero.at, factors.at, x.channels, x.bytes, 1, reach(x));
    },
  });
}

/**
 * Batch normalisation, and a ReLU behind it where `active`. In training it uses the batch's statistics and moves the
 * stored ones by `statistics.rate`; with `statistics.fixed`, or outside training, it uses the stored ones.
 */
export function normalisation(builder, name, x, active) {
  const { channels, bytes } = x;
  const y = builder.tensor(channels, x.size);
  const [gain, bias] = [builder.parameter(`${name}.weight`, channels, { start: 1 }), builder.parameter(`${name}.bias`, channels)];
  const [mean, variance, scale, sums, products, factors] = [1, 1, 1, 1, 1, 3].map((times) => builder.numbers(times * channels));
  const count = bytes / FLOAT;
  const share = builder.numbers(1, 1 / count);
  const inverse = new Float64Array(channels);
  const statistics = { name, mean: new Float32Array(channels), variance: new Float32Array(channels).fill(1), rate: 0.1, fixed: false };
  builder.statistics.push(statistics);
  x.normalised = { mean, scale, bias }; // what becomes of it, for measurements
  let ofBatch; // whether the pass forward used the batch's statistics
  builder.operation({
    y, parameters: [gain, bias],
    forward(training) {
      ofBatch = training && !statistics.fixed;
      if (ofBatch) {
        builder.kernels.moments(x.at, mean.at, variance.at, share.at, channels, bytes);
        for (let c = 0; c < channels; c++) {
          statistics.mean[c] += statistics.rate * (mean.data[c] - statistics.mean[c]);
          statistics.variance[c] += statistics.rate * ((variance.data[c] * count) / (count - 1) - statistics.variance[c]);
        }
      } else mean.data.set(statistics.mean);
      const spread = ofBatch ? variance.data : statistics.variance;
      for (let c = 0; c < channels; c++) {
        inverse[c] = 1 / Math.sqrt(spread[c] + EPSILON);
        scale.data[c] = inverse[c] * gain.data[c];
      }
      builder.kernels.affine(x.at, y.at, mean.at, scale.at, bias.at, channels, bytes, Number(active));
    },
    backward() {
      const { kernels } = builder;
      kernels.affineSums(x.at, y.at, y.gradAt, mean.at, sums.at, products.at, channels, bytes, Number(active));
      bias.grad.set(sums.data);
      for (let c = 0; c < channels; c++) {
        const ofGain = inverse[c] * products.data[c];
        const a = inverse[c] * gain.data[c];
        gain.grad[c] = ofGain;
        factors.data[c] = a;
        factors.data[channels + c] = ofBatch ? (-a * inverse[c] * ofGain) / count : 0;
        factors.data[2 * channels + c] = ofBatch ? (-a * sums.data[c]) / count : 0;
      }
      kernels.affineBack(x.at, y.at, y.gradAt, x.gradAt, mean.at, factors.at, channels, bytes, Number(active), reach(x));
    },
  });
  return y;
}

/** Pixels at other places: `from(channel, row, column)` is the pixel of `x` that stands there in `y`, -1 where zeros do. */
function rearrangement(builder, x, channels, size, from) {
  const { batch } = builder;
  const y = builder.tensor(channels, size);
  const each = (copy) => {
    for (let c = 0; c < channels; c++) for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
      const pixel = from(c, row, column);
      if (pixel >= 0) copy(pixel * batch, ((c * size + row) * size + column) * batch);
    }
  };
  return builder.operation({
    y,
    forward: () => each((place, to) => y.data.set(x.data.subarray(place, place + batch), to)),
    backward() {
      if (!x.hasGradient) return;
      if (!reach(x)) x.grad.fill(0);
      each((place, to) => {
        for (let n = 0; n < batch; n++) x.grad[place + n] += y.grad[to + n];
      });
    },
  });
}

/** Option A of He et al. 2015, section 3.3: every stride-th pixel, new channels zero, half of them on each side. */
export function padding(builder, x, channels, stride) {
  const first = (channels - x.channels) >> 1;
  const inside = (c) => c >= first && c < first + x.channels;
  return rearrangement(builder, x, channels, Math.ceil(x.size / stride), (c, row, column) =>
    (inside(c) ? ((c - first) * x.size + row * stride) * x.size + column * stride : -1));
}

/** Circular padding: a map that goes on at its other side, by one pixel all round. */
export function wrapping(builder, x) {
  const around = (place) => (place + x.size - 1) % x.size;
  return rearrangement(builder, x, x.channels, x.size + 2, (c, row, column) => (c * x.size + around(row)) * x.size + around(column));
}

/** A map without the pixel all round it. */
export function cropping(builder, x) {
  return rearrangement(builder, x, x.channels, x.size - 2, (c, row, column) => (c * x.size + row + 1) * x.size + column + 1);
}

/** The addition that ends a block, and a ReLU behind it where `active`; `gains()` returns the factors of both sides. */
export function addition(builder, branch, side, gains, active) {
  const y = builder.tensor(branch.channels, branch.size);
  const factors = builder.numbers(2);
  const bytes = FLOAT * y.count;
  return builder.operation({
    y,
    forward() {
      const [ofBranch, ofSide] = gains();
      factors.data[0] = ofBranch;
      factors.data[1] = ofSide;
      // a side that is off is not read: what it holds is old, or not a number
      const [a, b] = [ofBranch ? branch : side, ofSide ? side : branch];
      if (!ofBranch && !ofSide) y.data.fill(0);
      else builder.kernels.join(a.at, b.at, y.at, factors.at, bytes, Number(active));
    },
    backward() {
      [branch, side].forEach((x, index) => {
        if (factors.data[index] === 0 || !x.hasGradient) return;
        builder.kernels.joinBack(y.at, y.gradAt, x.gradAt, factors.at + FLOAT * index, bytes, Number(active), reach(x));
      });
    },
  });
}

/** Run operations [from, to) forwards. */
export function runForward(operations, training, from = 0, to = operations.length) {
  for (let n = from; n < to; n++) if (operations[n].active()) operations[n].forward(training);
}

/** Run operations [from, to) backwards; the gradient of the last one's `y` must be there and `filled`. */
export function runBackward(operations, from = 0, to = operations.length) {
  for (let n = to - 1; n >= from; n--) {
    const step = operations[n];
    if (step.active() && step.y.filled) step.backward();
    else for (const { grad } of step.parameters) grad.fill(0);
  }
}
