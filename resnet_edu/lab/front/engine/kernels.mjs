// The loops in which the time goes, in WebAssembly SIMD: convolutions, and the passes over activations between them.
// plain.mjs has the same in JavaScript.
//
// A tensor is (C, H, W, N): the images of the batch lie side by side, so every inner loop runs over N, every border
// is skipped and never padded, and any number of channels works. Weights are (k, k, C_in, C_out). Addresses are in
// bytes, as WebAssembly wants them. N is a multiple of 8, C_out of 4.
//
// Each shape of convolution gets code of its own in which sizes are constants: the offsets of taps and channels then
// cost nothing, and what can be known about a border is decided when the code is written.

import {
  add, add4, and, and4, assemble, below, define, fusedMadd4, greater4, isZero, larger4, load, loop, madd4, mul, mul4,
  shift, splat, store, storeSum, sub, sub4, when, zeros,
} from "./assembler.mjs";
import { plainKernels } from "./plain.mjs";

const upTo = (count) => Array.from({ length: count }, (_, index) => index);

/**
 * Write a correlation: y[o, p, :] = start + sum over taps t and channels i of w[t, i, o] * x[i, (p * stride + t - pad) / dilate, :]
 *
 * Forwards, `start` is a bias (the address of C_out numbers, or 0). Backwards, x is the gradient behind the
 * convolution and y the one before it, weights are read flipped and transposed, stride is 1, dilate is the
 * convolution's stride, and `start` is what y holds where the argument is not 0.
 * Four output channels by eight images stay in registers while taps and input channels go by.
 */
const correlateCode = ({ inputs, outputs, sizeIn, sizeOut, batch, k, stride, dilate, back }, madd) => define(4, (parameters, local) => {
  const [x, w, y, start] = parameters;
  const [o, row, column, n, pixel, from, to, weight, fromRow, fromColumn, i, at] = upTo(12).map(local.int);
  const sums = upTo(8).map(local.float4);
  const [left, right, factor] = upTo(3).map(local.float4);
  const [pad, bytes, taps] = [(k - 1) / 2, 4 * batch, k * k];
  const [planeIn, planeOut] = [sizeIn * sizeIn * bytes, sizeOut * sizeOut * bytes];
  const weightAt = (tap, input, output) => 4 * (back ? ((taps - 1 - tap) * outputs + output) * inputs + input : (tap * inputs + input) * outputs + output);
  const step = inputs % 4 ? inputs : 4;
  const products = (tap, offset) => upTo(step).map((input) => [
    left.set(load(at, offset + input * planeIn)), right.set(load(at, offset + input * planeIn + 16)),
    upTo(4).map((c) => [
      factor.set(splat(weight, weightAt(tap, input, c))),
      sums[2 * c].set(madd(factor, left, sums[2 * c])), sums[2 * c + 1].set(madd(factor, right, sums[2 * c + 1])),
    ]),
  ]);
  const channels = (tap, source, offset) => [
    at.set(source), weight.set(add(w, mul(o, back ? 4 * inputs : 4))),
    inputs === step ? products(tap, offset) : loop(i, inputs, step,
      products(tap, offset), at.set(add(at, step * planeIn)), weight.set(add(weight, weightAt(0, step, 0) - weightAt(0, 0, 0)))),
  ];
  // A guard is left out where the tap lies inside for every pixel.
  const guard = (place, tap, body) => upTo(sizeOut).every((p) => p * stride + tap - pad >= 0 && p * stride + tap - pad < sizeIn)
    ? body : when(below(add(mul(place, stride), tap - pad), sizeIn), body);
  const near = () => upTo(k).map((ky) => guard(row, ky, upTo(k).map((kx) =>
    guard(column, kx, channels(ky * k + kx, from, (ky * sizeIn + kx) * bytes)))));
  const inside = (position) => [below(position, sizeIn * dilate), isZero(and(position, dilate - 1)), 0x71];
  const apart = () => upTo(k).map((ky) => [fromRow.set(add(row, ky - pad)), when(inside(fromRow),
    upTo(k).map((kx) => [fromColumn.set(add(column, kx - pad)), when(inside(fromColumn),
      from.set(add(add(x, n), mul(add(mul(shift(fromRow, dilate >> 1), sizeIn), shift(fromColumn, dilate >> 1)), bytes))),
      channels(ky * k + kx, from, 0))]))]);
  return loop(o, outputs, 4, loop(row, sizeOut, 1, loop(column, sizeOut, 1,
    pixel.set(add(x, mul(sub(mul(add(mul(row, sizeIn), column), stride), pad * (sizeIn + 1)), bytes))),
    loop(n, bytes, 32,
      to.set(add(add(y, mul(o, planeOut)), add(mul(add(mul(row, sizeOut), column), bytes), n))),
      sums.map((sum) => sum.set(zeros)),
      when(start.get, sums.map((sum, s) => sum.set(back ? load(to, (s >> 1) * planeOut + (s & 1) * 16) : splat(add(start, mul(o, 4)), 4 * (s >> 1))))),
      dilate === 1 ? [from.set(add(pixel, n)), near()] : apart(),
      sums.map((sum, s) => store(to, sum, (s >> 1) * planeOut + (s & 1) * 16)),
    ))));
});

/**
 * Write the gradient of a convolution's weights: dw[t, i, o] = sum over pixels p and images n of dy[o, p, n] * x[i, p * stride + t - pad, n]
 *
 * Four output channels by one or two input channels stay in registers while pixels and images go by; at stride 1 a
 * row of pixels is one run of numbers.
 */
const weightGradientCode = ({ inputs, outputs, sizeIn, sizeOut, batch, k, stride }, madd) => define(3, (parameters, local) => {
  const [x, dy, dw] = parameters;
  const [o, i, row, column, n, from, behind, to] = upTo(8).map(local.int);
  const block = inputs % 2 ? 1 : 2;
  const sums = upTo(4 * block).map(local.float4);
  const value = local.float4();
  const inFront = upTo(block).map(local.float4);
  const [pad, bytes] = [(k - 1) / 2, 4 * batch];
  const [planeIn, planeOut] = [sizeIn * sizeIn * bytes, sizeOut * sizeOut * bytes];
  const span = (tap) => {
    const valid = upTo(sizeOut).filter((p) => p * stride + tap - pad >= 0 && p * stride + tap - pad < sizeIn);
    return { first: valid[0], count: valid.length };
  };
  const products = (offset) => [
    inFront.map((vector, b) => vector.set(load(from, b * planeIn + offset))),
    upTo(4).map((c) => [
      value.set(load(behind, c * planeOut + offset)),
      inFront.map((vector, b) => sums[4 * b + c].set(madd(value, vector, sums[4 * b + c]))),
    ]),
  ];
  const along = (length) => loop(n, length, 32, products(0), products(16), from.set(add(from, 32)), behind.set(add(behind, 32)));
  const tap = (ky, kx) => {
    const [rows, columns] = [span(ky), span(kx)];
    const [fromRow, fromColumn] = [rows.first * stride + ky - pad, columns.first * stride + kx - pad];
    const start = (rowOf, columnOf) => [
      from.set(add(add(x, mul(i, planeIn)), mul(add(mul(add(mul(rowOf, stride), fromRow), sizeIn), add(mul(columnOf, stride), fromColumn)), bytes))),
      behind.set(add(add(dy, mul(o, planeOut)), mul(add(mul(add(rowOf, rows.first), sizeOut), add(columnOf, columns.first)), bytes))),
    ];
    return loop(i, inputs, block, loop(o, outputs, 4,
      sums.map((sum) => sum.set(zeros)),
      loop(row, rows.count, 1, stride === 1 ? [start(row, 0), along(columns.count * bytes)]
        : loop(column, columns.count, 1, start(row, column), along(bytes))),
      to.set(add(dw, mul(add(mul(add(i, (ky * k + kx) * inputs), outputs), o), 4))),
      inFront.map((_, b) => upTo(4).map((c) => storeSum(add(to, 4 * (b * outputs + c)), sums[4 * b + c]))),
    ));
  };
  return upTo(k).map((ky) => upTo(k).map((kx) => tap(ky, kx)));
});

/** Two vectors at a time from `start`, for `bytes` bytes: `body(offset)` is called for offsets 0 and 16 from `n`. */
const pairs = (n, bytes, body) => loop(n, bytes, 32, body(0), body(16));
const gated = (relu, y, dy, offset, mask) => [mask.set(load(dy, offset)), when(relu.get, mask.set(and4(mask, greater4(load(y, offset), zeros))))];

// mean[c], variance[c] of x; `count` is the address of 1 / (numbers in a channel)
const momentsCode = define(6, (parameters, local) => {
  const [x, mean, variance, count, channels, bytes] = parameters;
  const [c, n] = upTo(2).map(local.int);
  const [a, b, middle, value] = upTo(4).map(local.float4);
  const half = (sum, offset) => sum.set(add4(sum, load(add(x, n), offset)));
  const square = (sum, offset) => [value.set(sub4(load(add(x, n), offset), middle)), sum.set(add4(sum, mul4(value, value)))];
  return loop(c, channels, 1,
    a.set(zeros), b.set(zeros), loop(n, bytes, 32, half(a, 0), half(b, 16)),
    a.set(mul4(add4(a, b), splat(count))), storeSum(mean, a), middle.set(splat(mean)),
    a.set(zeros), b.set(zeros), loop(n, bytes, 32, square(a, 0), square(b, 16)),
    a.set(mul4(add4(a, b), splat(count))), storeSum(variance, a),
    x.set(add(x, bytes)), mean.set(add(mean, 4)), variance.set(add(variance, 4)));
});

// y = (x - mean[c]) * scale[c] + bias[c], and its ReLU
const affineCode = (madd) => define(8, (parameters, local) => {
  const [x, y, mean, scale, bias, channels, bytes, relu] = parameters;
  const [c, n] = upTo(2).map(local.int);
  const [middle, factor, offset, low] = upTo(4).map(local.float4);
  const at = (place, base) => store(add(y, n), larger4(madd(sub4(load(add(x, n), place), middle), factor, offset), base), place);
  return loop(c, channels, 1,
    middle.set(splat(mean)), factor.set(splat(scale)), offset.set(splat(bias)),
    low.set(zeros), when(isZero(relu), low.set([0xfd, 0x0c, ...upTo(4).map(() => [0, 0, 0x80, 0xff])])), // minus infinity
    pairs(n, bytes, (place) => at(place, low)),
    x.set(add(x, bytes)), y.set(add(y, bytes)), ...[mean, scale, bias].map((one) => one.set(add(one, 4))));
});

// sums[c] of g, products[c] of g * (x - mean[c]); g is dy where y > 0 (with a ReLU), else dy
const affineSumsCode = (madd) => define(9, (parameters, local) => {
  const [x, y, dy, mean, sums, products, channels, bytes, relu] = parameters;
  const [c, n, here] = upTo(3).map(local.int);
  const [a, b, p, q, middle, g] = upTo(6).map(local.float4);
  const half = (sum, product, place) => [
    gated(relu, add(y, n), add(dy, n), place, g), sum.set(add4(sum, g)),
    product.set(madd(sub4(load(add(x, n), place), middle), g, product)),
  ];
  return loop(c, channels, 1,
    here.set(0), middle.set(splat(mean)), [a, b, p, q].map((one) => one.set(zeros)),
    loop(n, bytes, 32, half(a, p, 0), half(b, q, 16)),
    a.set(add4(a, b)), storeSum(sums, a), p.set(add4(p, q)), storeSum(products, p),
    ...[x, y, dy].map((one) => one.set(add(one, bytes))), ...[mean, sums, products].map((one) => one.set(add(one, 4))));
});

// dx = a[c] * g + b[c] * (x - mean[c]) + shift[c], or added to it; `factors` holds a, b and shift one behind the other
const affineBackCode = (madd) => define(10, (parameters, local) => {
  const [x, y, dy, dx, mean, factors, channels, bytes, relu, accumulate] = parameters;
  const [c, n, apart] = upTo(3).map(local.int);
  const [a, b, offset, middle, g] = upTo(5).map(local.float4);
  return [apart.set(mul(channels, 4)), loop(c, channels, 1,
    a.set(splat(factors)), b.set(splat(add(factors, apart))), offset.set(splat(add(factors, mul(apart, 2)))), middle.set(splat(mean)),
    pairs(n, bytes, (place) => [
      gated(relu, add(y, n), add(dy, n), place, g),
      g.set(madd(a, g, madd(b, sub4(load(add(x, n), place), middle), offset))),
      when(accumulate.get, g.set(add4(g, load(add(dx, n), place)))), store(add(dx, n), g, place),
    ]),
    ...[x, y, dy, dx].map((one) => one.set(add(one, bytes))), ...[mean, factors].map((one) => one.set(add(one, 4))))];
});

// y = gains[0] * a + gains[1] * b, and its ReLU
const joinCode = (madd) => define(6, (parameters, local) => {
  const [a, b, y, gains, bytes, relu] = parameters;
  const n = local.int();
  const [left, right, sum] = upTo(3).map(local.float4);
  return [left.set(splat(gains)), right.set(splat(gains, 4)), pairs(n, bytes, (place) => [
    sum.set(madd(left, load(add(a, n), place), mul4(right, load(add(b, n), place)))),
    when(relu.get, sum.set(larger4(sum, zeros))), store(add(y, n), sum, place),
  ])];
});

// dx = gain * g, or added to it
const joinBackCode = (madd) => define(7, (parameters, local) => {
  const [y, dy, dx, gain, bytes, relu, accumulate] = parameters;
  const n = local.int();
  const [factor, g, before] = upTo(3).map(local.float4);
  return [factor.set(splat(gain)), pairs(n, bytes, (place) => [
    gated(relu, add(y, n), add(dy, n), place, g),
    before.set(zeros), when(accumulate.get, before.set(load(add(dx, n), place))), store(add(dx, n), madd(factor, g, before), place),
  ])];
});

// velocity = momentum * velocity + (decay * data + grad); data -= rate * velocity; `rates` is rate, momentum, decay
const updateCode = (madd) => define(5, (parameters, local) => {
  const [data, grad, velocity, rates, bytes] = parameters;
  const n = local.int();
  const [rate, momentum, decay, speed] = upTo(4).map(local.float4);
  return [rate.set(splat(rates)), momentum.set(splat(rates, 4)), decay.set(splat(rates, 8)), loop(n, bytes, 16,
    speed.set(madd(momentum, load(add(velocity, n)), madd(decay, load(add(data, n)), load(add(grad, n))))),
    store(add(velocity, n), speed), store(add(data, n), sub4(load(add(data, n)), mul4(rate, speed))),
  )];
});

const backwards = (shape) => ({
  ...shape, inputs: shape.outputs, outputs: shape.inputs, sizeIn: shape.sizeOut, sizeOut: shape.sizeIn, stride: 1, dilate: shape.stride, back: true,
});

function simdCode(shapes, fused) {
  const madd = fused ? fusedMadd4 : madd4;
  const code = {
    moments: momentsCode, affine: affineCode(madd), affineSums: affineSumsCode(madd), affineBack: affineBackCode(madd),
    join: joinCode(madd), joinBack: joinBackCode(madd), update: updateCode(madd),
  };
  shapes.forEach((shape, index) => {
    code[`forward${index}`] = correlateCode({ ...shape, dilate: 1 }, madd);
    if (shape.inputs % 4 === 0) code[`back${index}`] = correlateCode(backwards(shape), madd);
    code[`weight${index}`] = weightGradientCode(shape, madd);
  });
  return assemble(code);
}

// Compiled code by what it was written for: a network that is built again costs no time.
const compiled = new Map();
function moduleFor(shapes, fused) {
  const key = JSON.stringify([shapes, fused]);
  if (!compiled.has(key)) compiled.set(key, new WebAssembly.Module(simdCode(shapes, fused)));
  return compiled.get(key);
}

/** Whether this browser knows relaxed SIMD's multiply-add. */
export const hasFused = () => WebAssembly.validate(assemble({ probe: define(0, () => [fusedMadd4(zeros, zeros, zeros), 0x1a]) }));

/**
 * Return memory for `floats` numbers and the kernels that work on it: `convolutions`, one for each of `shapes`
 * ({ inputs, outputs, sizeIn, sizeOut, batch, k, stride }) with `forward(x, w, y, bias)`, `inputGradient(dy, w, dx,
 * accumulate)` and `weightGradient(x, dy, dw)`, and the passes of this file by name. `simd` false asks for plain
 * JavaScript, as does a batch that is no multiple of 8; `fused` false for no multiply-add in one step.
 */
export function makeKernels(floats, shapes, { simd = true, fused = true } = {}) {
  let made = null;
  simd &&= shapes.every(({ batch }) => batch % 8 === 0); // the kernels take two vectors of four at a time
  try {
    const memory = simd && new WebAssembly.Memory({ initial: Math.ceil(floats / 16384) }); // pages of 64 KiB
    fused &&= simd && hasFused();
    const module = simd && moduleFor(shapes, fused);
    made = simd && { ...new WebAssembly.Instance(module, { env: { memory } }).exports, buffer: memory.buffer };
  } catch {
    made = null; // no WebAssembly, no SIMD, or forbidden by the page's policy
  }
  if (!made) return plainKernels(floats, shapes);
  const convolutions = shapes.map((_, index) => ({
    forward: made[`forward${index}`], inputGradient: made[`back${index}`], weightGradient: made[`weight${index}`],
  }));
  return { ...made, convolutions, name: `WebAssembly SIMD${fused ? "" : ", unfused"}`, fused };
}
