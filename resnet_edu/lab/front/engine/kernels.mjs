// The two loops in which the time goes: correlation (a convolution forwards, and backwards to its input) and
// the gradient of its weights. Each is written twice: in JavaScript, to be read and as a fall-back, and in
// WebAssembly SIMD, four images at a time.
//
// A tensor is (C, H, W, N): the images of the batch lie side by side, so every inner loop runs over N, every
// border is skipped and never padded, and any number of channels works. Weights are (k, k, C_in, C_out).
// Addresses are in bytes, as WebAssembly wants them. N is a multiple of 8, C_out of 4.

import {
  add, add4, and, assemble, below, define, isZero, load, loop, mul, mul4, shift, splat, store, storeSum, sub, when,
  zeros,
} from "./assembler.mjs";

/**
 * y[o, p, :] += sum over taps t and channels i of w[t, i, o] * x[i, (p * stride + t - pad) / dilate, :]
 *
 * Forwards: dilate 1. Backwards: x is the gradient behind the convolution, the weights are flipped and
 * transposed, stride is 1 and dilate is the convolution's stride.
 */
function correlateScript(floats) {
  return (x, w, y, inputs, outputs, sizeIn, sizeOut, batch, k, stride, dilate) => {
    const pad = (k - 1) / 2;
    const [planeIn, planeOut] = [sizeIn * sizeIn * batch, sizeOut * sizeOut * batch];
    x /= 4, w /= 4, y /= 4;
    for (let row = 0; row < sizeOut; row++) for (let column = 0; column < sizeOut; column++) {
      for (let ky = 0; ky < k; ky++) for (let kx = 0; kx < k; kx++) {
        const [fromRow, fromColumn] = [(row * stride + ky - pad) / dilate, (column * stride + kx - pad) / dilate];
        if (!Number.isInteger(fromRow) || fromRow < 0 || fromRow >= sizeIn) continue;
        if (!Number.isInteger(fromColumn) || fromColumn < 0 || fromColumn >= sizeIn) continue;
        for (let o = 0; o < outputs; o++) {
          const to = y + o * planeOut + (row * sizeOut + column) * batch;
          for (let i = 0; i < inputs; i++) {
            const weight = floats[w + ((ky * k + kx) * inputs + i) * outputs + o];
            const from = x + i * planeIn + (fromRow * sizeIn + fromColumn) * batch;
            for (let n = 0; n < batch; n++) floats[to + n] += weight * floats[from + n];
          }
        }
      }
    }
  };
}

/** dw[t, i, o] = sum over pixels p and images n of dy[o, p, n] * x[i, p * stride + t - pad, n] */
function weightGradientScript(floats) {
  return (x, dy, dw, inputs, outputs, sizeIn, sizeOut, batch, k, stride) => {
    const pad = (k - 1) / 2;
    const [planeIn, planeOut] = [sizeIn * sizeIn * batch, sizeOut * sizeOut * batch];
    x /= 4, dy /= 4, dw /= 4;
    for (let ky = 0; ky < k; ky++) for (let kx = 0; kx < k; kx++) {
      for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let row = 0; row < sizeOut; row++) for (let column = 0; column < sizeOut; column++) {
          const [fromRow, fromColumn] = [row * stride + ky - pad, column * stride + kx - pad];
          if (fromRow < 0 || fromRow >= sizeIn || fromColumn < 0 || fromColumn >= sizeIn) continue;
          const from = x + i * planeIn + (fromRow * sizeIn + fromColumn) * batch;
          const at = dy + o * planeOut + (row * sizeOut + column) * batch;
          for (let n = 0; n < batch; n++) sum += floats[at + n] * floats[from + n];
        }
        floats[dw + ((ky * k + kx) * inputs + i) * outputs + o] = sum;
      }
    }
  };
}

const inside = (position, size, mask) => [below(position, size), isZero(and(position, mask)), 0x71];

// Four output channels by eight images stay in registers while the taps and input channels go by.
const correlateSimd = define(11, (parameters, local) => {
  const [x, w, y, inputs, outputs, sizeIn, sizeOut, batch, k, stride, dilate] = parameters;
  const [o, i, row, column, n, ky, kx, pad, fromRow, fromColumn, mask, reach] = Array.from({ length: 12 }, local.int);
  const [bytes, planeIn, planeOut, rowOfWeights, from, to, weight] = Array.from({ length: 7 }, local.int);
  const sums = Array.from({ length: 8 }, local.float4);
  const [left, right, factor] = [local.float4(), local.float4(), local.float4()];
  const target = (s) => add(add(to, mul(s >> 1, planeOut)), (s & 1) * 16);
  return [
    pad.set(shift(k, 1)), mask.set(sub(dilate, 1)), reach.set(mul(sizeIn, dilate)),
    bytes.set(mul(batch, 4)), rowOfWeights.set(mul(outputs, 4)),
    planeIn.set(mul(mul(sizeIn, sizeIn), bytes)), planeOut.set(mul(mul(sizeOut, sizeOut), bytes)),
    loop(o, outputs, 4, loop(row, sizeOut, 1, loop(column, sizeOut, 1, loop(n, bytes, 32,
      to.set(add(add(y, mul(o, planeOut)), add(mul(add(mul(row, sizeOut), column), bytes), n))),
      sums.map((sum, s) => sum.set(load(target(s)))),
      loop(ky, k, 1, fromRow.set(sub(add(mul(row, stride), ky), pad)), when(inside(fromRow, reach, mask),
        loop(kx, k, 1, fromColumn.set(sub(add(mul(column, stride), kx), pad)), when(inside(fromColumn, reach, mask),
          from.set(add(add(x, n), mul(add(mul(shift(fromRow, mask), sizeIn), shift(fromColumn, mask)), bytes))),
          weight.set(add(w, mul(add(mul(mul(add(mul(ky, k), kx), inputs), outputs), o), 4))),
          loop(i, inputs, 1,
            left.set(load(from)), right.set(load(from, 16)),
            [0, 1, 2, 3].map((c) => [
              factor.set(splat(weight, 4 * c)),
              sums[2 * c].set(add4(sums[2 * c], mul4(factor, left))),
              sums[2 * c + 1].set(add4(sums[2 * c + 1], mul4(factor, right))),
            ]),
            from.set(add(from, planeIn)), weight.set(add(weight, rowOfWeights)),
          ),
        )),
      )),
      sums.map((sum, s) => store(target(s), sum)),
    )))),
  ];
});

// Four output channels by `block` input channels stay in registers while pixels and images go by.
const weightGradientSimd = (block) => define(10, (parameters, local) => {
  const [x, dy, dw, inputs, outputs, sizeIn, sizeOut, batch, k, stride] = parameters;
  const [o, i, row, column, n, ky, kx, pad, fromRow, fromColumn] = Array.from({ length: 10 }, local.int);
  const [bytes, planeIn, planeOut, from, behind, to] = Array.from({ length: 6 }, local.int);
  const sums = Array.from({ length: 4 * block }, local.float4);
  const [value, inFront] = [local.float4(), Array.from({ length: block }, local.float4)];
  const channels = Array.from({ length: block }, (_, b) => b);
  return [
    pad.set(shift(k, 1)), bytes.set(mul(batch, 4)),
    planeIn.set(mul(mul(sizeIn, sizeIn), bytes)), planeOut.set(mul(mul(sizeOut, sizeOut), bytes)),
    loop(ky, k, 1, loop(kx, k, 1, loop(i, inputs, block, loop(o, outputs, 4,
      sums.map((sum) => sum.set(zeros)),
      loop(row, sizeOut, 1, fromRow.set(sub(add(mul(row, stride), ky), pad)), when(below(fromRow, sizeIn),
        loop(column, sizeOut, 1, fromColumn.set(sub(add(mul(column, stride), kx), pad)), when(below(fromColumn, sizeIn),
          from.set(add(add(x, mul(i, planeIn)), mul(add(mul(fromRow, sizeIn), fromColumn), bytes))),
          behind.set(add(add(dy, mul(o, planeOut)), mul(add(mul(row, sizeOut), column), bytes))),
          loop(n, bytes, 16,
            channels.map((b) => inFront[b].set(load(add(from, mul(b, planeIn))))),
            [0, 1, 2, 3].map((c) => [
              value.set(load(add(behind, mul(c, planeOut)))),
              channels.map((b) => sums[4 * b + c].set(add4(sums[4 * b + c], mul4(value, inFront[b])))),
            ]),
            from.set(add(from, 16)), behind.set(add(behind, 16)),
          ),
        )),
      )),
      to.set(add(dw, mul(add(mul(add(mul(add(mul(ky, k), kx), inputs), i), outputs), o), 4))),
      channels.map((b) => [0, 1, 2, 3].map((c) => storeSum(add(to, add(mul(b * 4, outputs), c * 4)), sums[4 * b + c]))),
    )))),
  ];
});

/** Return memory for `floats` numbers and the kernels that work on it; `simd` false asks for plain JavaScript. */
export function makeKernels(floats, simd = true) {
  try {
    if (!simd) throw new Error("not wanted");
    const memory = new WebAssembly.Memory({ initial: Math.ceil(floats / 16384) }); // pages of 64 KiB
    const module = new WebAssembly.Module(assemble({
      correlate: correlateSimd, one: weightGradientSimd(1), two: weightGradientSimd(2),
    }));
    const { correlate, one, two } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    const weightGradient = (x, dy, dw, inputs, ...rest) => (inputs % 2 ? one : two)(x, dy, dw, inputs, ...rest);
    return { buffer: memory.buffer, correlate, weightGradient, name: "WebAssembly SIMD" };
  } catch {
    const array = new Float32Array(floats);
    const [correlate, weightGradient] = [correlateScript(array), weightGradientScript(array)];
    return { buffer: array.buffer, correlate, weightGradient, name: "plain JavaScript" };
  }
}
