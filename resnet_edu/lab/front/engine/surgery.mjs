// Changes of a network between two steps: blocks off, scaled or swapped, filters scaled or near the identity, a new head,
// statistics anew.

import { showImages } from "./data.mjs";
import { generator } from "./random.mjs";

/** The block of a number, from 1; throws for one that is not there. */
export function blockOf(net, number) {
  const block = net.blocks[number - 1];
  if (!block) throw new Error(`block must be a whole number from 1 to ${net.blocks.length}, got ${number}`);
  return block;
}

/** Set a block's factors or cut its shortcut; what is not given stays. A branch of 0 is a lesion. */
export function setBlock(block, { branch = block.branchGain, shortcut = block.shortcutGain, connected = block.connected }) {
  for (const [name, value] of Object.entries({ branch, shortcut })) {
    if (!Number.isFinite(value)) throw new Error(`${name} must be a number, got ${value}`);
  }
  Object.assign(block, { branchGain: branch, shortcutGain: shortcut, connected: Boolean(connected) });
}

/**
 * Let both convolutions of a block's branch pass their input on (He et al. 2015, section 1): where nothing normalises and
 * the input has no negative numbers, F(x) = x, and with a branch of -1 the block passes nothing.
 */
export function copyInput(net, number) {
  const block = blockOf(net, number);
  if (!block.keeps) throw new Error(`block ${number} changes the shape, so its branch cannot copy its input; choose a block that keeps it`);
  for (const { name, k, inputs, channels, data } of net.parameters) {
    if (!name.startsWith(`block${number}.conv`)) continue;
    data.fill(0);
    const middle = (k * k - 1) / 2; // taps in the order of (k, k, C_in, C_out); a bias has none
    for (let c = 0; k && c < channels; c++) data[(middle * inputs + c) * channels + c] = 1;
  }
}

/** What belongs to a block, by its name inside it. */
const belongings = (net, { number }) => {
  const inside = ({ name }) => name.startsWith(`block${number}.`);
  const short = ({ name }) => name.slice(name.indexOf("."));
  return new Map([...net.parameters, ...net.statistics].filter(inside).map((one) => [`${short(one)}${one.mean ? " statistics" : ""}`, one]));
};

/** Let two blocks of equal shape in one stage change places; a second time puts them back. */
export function swapBlocks(net, first, second) {
  const [a, b] = [blockOf(net, first), blockOf(net, second)];
  const [of, other] = [belongings(net, a), belongings(net, b)];
  const fits = a.stage === b.stage && a.keeps && b.keeps && String([...of.keys()]) === String([...other.keys()]);
  if (a !== b && !fits) {
    throw new Error(`blocks ${first} and ${second} cannot change places: only blocks of one stage with the same shapes and layers can; choose two later blocks of a stage`);
  }
  const exchange = (x, y) => {
    const kept = x.slice();
    x.set(y);
    y.set(kept);
  };
  for (const [name, one] of of) {
    for (const key of ["data", "velocity", "mean", "variance"]) if (one[key]) exchange(one[key], other.get(name)[key]);
  }
  for (const key of ["connected", "branchGain", "shortcutGain"]) [a[key], b[key]] = [b[key], a[key]];
  net.order ??= net.blocks.map(({ number }) => number);
  [net.order[first - 1], net.order[second - 1]] = [net.order[second - 1], net.order[first - 1]];
  return net.order;
}

/** Multiply the filters of every convolution: with normalisation behind them all, the network computes the same. */
export function scaleFilters(net, factor) {
  if (!Number.isFinite(factor)) throw new Error(`factor must be a number, got ${factor}`);
  for (const { k, data, count } of net.parameters) if (k) for (let n = 0; n < count; n++) data[n] *= factor;
}

/**
 * Make each convolution of the blocks that keeps the shape the identity plus `noise` times what it was
 * (resnet_edu.networks.start_near_identity).
 */
export function startNearIdentity(net, noise) {
  if (!(Number.isFinite(noise) && noise >= 0)) throw new Error(`identity_start must be a number of at least 0 (0.1: a tenth of the noise), got ${noise}`);
  for (const { name, k, inputs, channels, data } of net.parameters) {
    if (!name.startsWith("block") || !(k > 1) || inputs !== channels) continue;
    for (let n = 0; n < data.length; n++) data[n] *= noise;
    const middle = ((k * k - 1) / 2) * channels * channels; // weights are (k, k, C_in, C_out)
    for (let c = 0; c < channels; c++) data[middle + c * (channels + 1)] += 1;
  }
}

/** Draw the linear layer anew, as PyTorch's nn.Linear starts. */
export function newHead(net, seed) {
  const random = generator(seed);
  for (const { name, data, velocity, bound } of net.parameters) {
    if (!name.startsWith("fc.")) continue;
    velocity.fill(0);
    data.forEach((_, n) => { data[n] = (2 * random.uniform() - 1) * bound; });
  }
}

/** Remember what a network is, and return the way back to it. */
export function remember(net) {
  const arrays = [];
  for (const { data, velocity } of net.parameters) arrays.push(data, velocity);
  const copies = arrays.map((array) => array.slice());
  const back = rememberStatistics(net);
  const blocks = net.blocks.map(({ connected, branchGain, shortcutGain }) => ({ connected, branchGain, shortcutGain }));
  const order = net.order?.slice();
  return () => {
    arrays.forEach((array, index) => array.set(copies[index]));
    back();
    net.blocks.forEach((block, index) => Object.assign(block, blocks[index]));
    net.order = order?.slice();
  };
}

/** The same for the stored statistics alone. */
export function rememberStatistics(net) {
  const copies = net.statistics.map(({ mean, variance }) => [mean.slice(), variance.slice()]);
  return () => net.statistics.forEach(({ mean, variance }, index) => {
    mean.set(copies[index][0]);
    variance.set(copies[index][1]);
  });
}

/** Take the stored statistics anew from images, a plain average over their batches (resnet_edu.probes.recalibrate). */
export function recalibrate(net, data, indices) {
  const batches = Math.floor(indices.length / net.batch);
  if (!batches) throw new Error(`statistics need at least one batch of ${net.batch} images, got ${indices.length}`);
  const before = net.statistics.map(({ rate, fixed }) => ({ rate, fixed }));
  for (let n = 0; n < batches; n++) {
    for (const one of net.statistics) Object.assign(one, { rate: 1 / (n + 1), fixed: false });
    showImages(net, data, indices.slice(n * net.batch, (n + 1) * net.batch));
    net.forward(true);
  }
  net.statistics.forEach((one, index) => Object.assign(one, before[index]));
}
