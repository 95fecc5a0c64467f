// Time forward passes of single blocks, in turn, so that whatever else the device does meets all of them.

import { addition, convolution, makeBuilder, normalisation, padding, runForward } from "./layers.mjs";
import { generator } from "./random.mjs";
import { within } from "./training.mjs";

const [IMAGES, WARM] = [8, 2]; // images a pass; passes before the clock counts

/** A block in evaluation mode, as parts/counting.mjs counts it; returns what runs one pass, and its multiply-adds. */
function buildBlock({ block, inputs, channels, stride = 1, shortcut = "A", variant = "v1.5", side }, options) {
  const builder = makeBuilder(IMAGES, options);
  const x = builder.tensor(inputs, side, false);
  let multiply_adds = 0;
  const unit = (from, name, to, k, step, active = false) => {
    const { y, weight } = convolution(builder, name, from, to, k, step, false);
    multiply_adds += weight.count * y.size ** 2;
    return normalisation(builder, name, y, active);
  };
  const first = variant === "v1" ? stride : 1;
  const branch = block === "bottleneck"
    ? unit(unit(unit(x, "1", channels, 1, first, true), "2", channels, 3, stride / first, true), "3", 4 * channels, 1, 1)
    : unit(unit(x, "1", channels, 3, stride, true), "2", channels, 3, 1);
  const keeps = stride === 1 && inputs === branch.channels;
  let path = x;
  if (shortcut === "C" || (shortcut === "B" && !keeps)) path = unit(x, "path", branch.channels, 1, stride);
  else if (shortcut === "A" && !keeps) path = padding(builder, x, branch.channels, stride);
  addition(builder, branch, path, () => [1, Number(shortcut !== "none")], true);
  builder.finish();
  const random = generator(0);
  for (const one of builder.parameters) one.data.forEach((_, n) => { one.data[n] = one.fan ? (2 * random.uniform() - 1) * Math.sqrt(6 / one.fan) : one.start ?? 0; });
  x.data.forEach((_, n) => { x.data[n] = random.uniform(); });
  return { operations: builder.operations, kernels: builder.kernels.name, multiply_adds };
}

/** One pass: its milliseconds. It yields between two operations where it takes long, or the page would give it up. */
function* pass(operations) {
  let [spent, before] = [0, performance.now()];
  for (let n = 0; n < operations.length; n++) {
    runForward(operations, false, n, n + 1);
    if (performance.now() - before < 500) continue;
    spent += performance.now() - before;
    yield;
    before = performance.now();
  }
  return spent + performance.now() - before;
}

/** The question `time`: milliseconds an image of every pass of every block. */
export function* timeBlocks({ blocks, passes = 9 }, options) {
  const made = blocks.map((one) => buildBlock(one, options));
  const times = made.map(() => []);
  for (let n = -WARM; n < passes; n++) for (const [index, { operations }] of made.entries()) {
    const progress = { done: (n + WARM) * made.length + index + 1, total: (passes + WARM) * made.length };
    const spent = yield* within(pass(operations), progress);
    if (n >= 0) times[index].push(spent / IMAGES);
    yield progress;
  }
  return { times, images: IMAGES, multiply_adds: made.map((one) => one.multiply_adds), kernels: made[0].kernels };
}
