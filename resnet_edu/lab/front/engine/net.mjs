// Residual and plain networks for small images, their gradients and SGD: the counterpart of
// resnet_edu.networks.cifar_resnet, in the same order and with the same starting distributions.
// A network is a list of operations on tensors (C, H, W, N) that is built once and run many times.

import { classifier, projection, regression } from "./heads.mjs";
import { addition, convolution, cropping, makeBuilder, normalisation, padding, rectifier, runBackward, runForward, wrapping } from "./layers.mjs";
import { generator } from "./random.mjs";

/** Settings that a run may leave out (resnet_edu/lab/__init__.py lists the others). */
const SETTINGS = {
  branch_gain: 1, shortcut_gain: 1, weight_scale: 1, last_scale: 1, frozen: [], moving_statistics: false,
  task: "classify", blocks: 3, target: "stay", border: "circular", bug: "none",
};

/** Where the outer normalisation and the outer ReLU of a block stand: in its branch first or last, or behind the addition. */
export const ORDERS = { // He et al. 2016, Fig. 4
  post: ["last", "behind"], pre: ["first", "first"], "relu-only-pre": ["last", "first"],
  "bn-after-addition": ["behind", "behind"], "relu-before-addition": ["last", "last"],
};

/** Bugs of public code, each in a network that runs: the exhibits of the chapter on myths and bugs. */
export const BUGS = ["none", "early stride", "relu before addition", "bare projection", "no last norm", "softmax twice", "no eval"];

/** The factors of a block's branch and shortcut. A block without either would pass nothing on, so the shortcut stays. */
const gainsOf = ({ branchGain, shortcutGain, connected }) => [branchGain, connected || branchGain === 0 ? shortcutGain : 0];

/** Add one block: a branch of two convolutions, a path around it, the addition. Returns its output. */
function addBlock(parts, x, channels, stride, isFirst) {
  const { builder, config, norm, conv, blocks, layers } = parts;
  const { operations } = builder;
  const { shortcut, activation, width, bug } = config;
  const [normal, rectified] = ORDERS[activation];
  const [pre, starts] = [normal === "first", rectified === "first"];
  const number = blocks.length + 1;
  const block = {
    number, x, connected: shortcut !== "none", branchGain: config.branch_gain, shortcutGain: config.shortcut_gain,
    stage: Math.log2(channels / width) + 1, from: operations.length,
  };
  const named = (layer) => `block${number}.${layer}`;
  const restrict = (start, index) => {
    for (const step of operations.slice(start)) step.active = () => gainsOf(block)[index] !== 0;
  };
  // What stands first is shared by a projection; in the first block it stands in the stem (He et al. 2016, appendix).
  const activated = !starts || isFirst ? x : pre ? norm(named("bn1"), x, true) : rectifier(builder, x);
  const projects = shortcut === "C" || (shortcut === "B" && !(stride === 1 && x.channels === channels));
  if (!projects) restrict(block.from, 0);
  let start = operations.length;
  const one = conv(named("conv1"), activated, channels, 3, stride);
  const middle = norm(named(pre ? "bn2" : "bn1"), one.y, true);
  const two = conv(named("conv2"), middle, channels, 3, 1);
  const branch = normal === "last" ? norm(named("bn2"), two.y, rectified === "last" || bug === "relu before addition") : two.y;
  restrict(start, 0);
  start = operations.length;
  const keeps = stride === 1 && x.channels === channels;
  let side = x;
  if (projects) {
    const { y } = conv(named("downsample.0"), activated, channels, 1, stride);
    side = pre || bug === "bare projection" ? y : norm(named("downsample.1"), y, false);
  } else if (!keeps) side = padding(builder, x, channels, stride);
  restrict(start, 1);
  layers.push(one.weight, two.weight);
  parts.outputs.push(one.y, two.y);
  const sum = addition(builder, branch, side, () => gainsOf(block), activation === "post");
  const y = normal === "behind" ? norm(named("bn_sum"), sum, true) : sum;
  parts.behind.push(middle, y);
  blocks.push(Object.assign(block, { branch, side, projects, keeps, y, to: operations.length, gains: () => gainsOf(block) }));
  return y;
}

/** The stem, three stages of blocks and the classifier. */
function addClassifier(parts, size, classes) {
  const { builder, config, norm, conv } = parts;
  const [[normal, rectified], count, bug] = [ORDERS[config.activation], (config.depth - 2) / 6, config.bug];
  const images = builder.tensor(1, size, false);
  const stem = conv("conv1", images, config.width, 3, 1);
  parts.layers.push(stem.weight);
  let x = norm("bn1", stem.y, true);
  parts.outputs.push(stem.y);
  parts.behind.push(x);
  for (let stage = 0; stage < 3; stage++) for (let index = 0; index < count; index++) {
    x = addBlock(parts, x, config.width << stage, !index && Boolean(stage) !== (bug === "early stride") ? 2 : 1, !stage && !index);
  }
  if (rectified === "first" && bug !== "no last norm") x = normal === "first" ? norm("bn_last", x, true) : rectifier(builder, x);
  const head = classifier(builder, x, classes, bug === "softmax twice");
  parts.layers.push(head.weight);
  return { images, head };
}

/** Blocks of one width that learn a map from tensors to tensors. */
function addStack(parts) {
  const { builder, config } = parts;
  const images = builder.tensor(config.width, config.size ?? 6, false);
  let x = images;
  for (let index = 0; index < config.blocks; index++) x = addBlock(parts, x, config.width, 1, !index);
  return { images, head: regression(x) };
}

/** A plain chain of `depth` convolutions of one width, each with its normalisation and ReLU; `border` is how maps are padded. */
function addChain(parts) {
  const { builder, config, norm, conv } = parts;
  if (!["circular", "zeros"].includes(config.border)) throw new Error(`border must be "circular" or "zeros", got ${JSON.stringify(config.border)}`);
  const images = builder.tensor(config.width, config.size ?? 8, false);
  let x = images;
  for (let n = 1; n <= config.depth; n++) {
    const closed = config.border === "circular";
    const { y, weight } = conv(`conv${n}`, closed ? wrapping(builder, x) : x, config.width, 3, 1);
    const output = closed ? cropping(builder, y) : y;
    x = norm(`bn${n}`, output, true);
    parts.layers.push(weight);
    parts.outputs.push(output);
    parts.behind.push(x);
  }
  return { images, head: projection(x) };
}

/** Weights of a twin are equal whatever its shortcuts: projections draw from a stream of their own. */
function drawWeights(parameters, { seed, weight_scale: scale }) {
  const streams = [generator(seed), generator(seed + 0x9e3779b9)];
  for (const one of parameters) {
    const random = streams[one.name.includes("downsample") ? 1 : 0];
    for (let n = 0; n < one.count; n++) {
      if (one.fan) one.data[n] = scale * random.normal() * Math.sqrt(2 / one.fan); // He et al. 2015b: variance 2 / fan_out
      else if (one.bound) one.data[n] = (2 * random.uniform() - 1) * one.bound; // PyTorch's nn.Linear
      else one.data[n] = one.start ?? 0;
    }
  }
}

/** Multiply what ends each branch: its last normalisation, or its last convolution where none follows. */
function scaleLast(net, { last_scale: scale, normalization, activation }) {
  const named = normalization === "batch" && ORDERS[activation][0] === "last" ? "bn2" : "conv2";
  const last = new RegExp(`^block\\d+\\.${named}\\.weight$`);
  for (const { name, data } of net.parameters) if (last.test(name)) data.forEach((value, n) => { data[n] = scale * value; });
}

/** Freeze parameters by prefixes of their names ("body": all but the linear layer), and by default their statistics. */
function freeze(net, { frozen, moving_statistics: moving }) {
  const matches = (name) => (frozen === "body" ? !name.startsWith("fc.") : frozen.some((prefix) => `${name}.`.startsWith(`${prefix}.`)));
  for (const one of net.parameters) one.frozen = matches(one.name);
  for (const one of net.statistics) one.fixed = !moving && matches(one.name);
}

/** One step of torch.optim.SGD: weight decay and momentum on every parameter that is not frozen. */
function update(builder, config, rates) {
  rates.data.set([config.learning_rate, config.momentum, config.weight_decay]);
  const { parameters, kernels } = builder;
  for (let from = 0, to; from < parameters.length; from = to) { // neighbours go together
    for (to = from + 1; to < parameters.length && parameters[to].frozen === parameters[from].frozen; to++);
    if (parameters[from].frozen) continue;
    const [first, last] = [parameters[from], parameters[to - 1]];
    const bytes = last.at - first.at + ((4 * last.count + 15) & ~15);
    kernels.update(first.at, first.gradAt, first.velocityAt, rates.at, bytes);
  }
}

/**
 * Build a network from a configuration (keys and defaults: resnet_edu/lab/__init__.py, and SETTINGS).
 *
 * `images` is the input (size, size, N), `labels` (N) its classes; `forward(training)` returns the mean
 * cross-entropy and the number of wrong answers, `backward()` fills the gradients, `update()` is one step of SGD.
 * `layers` are the weighted layers that He et al. count, input first (no projections), as their weights; `outputs`
 * are the convolutions' outputs, `behind` what becomes of each before the next one reads it (behind normalisation and
 * ReLU, or the block's addition); `blocks` are the residual blocks, each with `connected`, `branchGain` and
 * `shortcutGain`, which may change between any two steps.
 * With `task: "stack"`: blocks of one width with a squared error; `images` is (C, size, size, N), `wanted` the target.
 * With `task: "chain"`: convolutions without blocks; `wanted` is the gradient that is sent back from their end.
 */
export function buildNet(given, { size = 8, classes = 10, ...options } = {}) {
  const config = { ...SETTINGS, switches: [], ...given };
  if (!BUGS.includes(config.bug)) throw new Error(`bug must be one of ${BUGS.join(", ")}, got ${JSON.stringify(config.bug)}`);
  const builder = makeBuilder(config.batch_size, options);
  const normalized = config.normalization === "batch";
  const parts = { builder, config, layers: [], blocks: [], outputs: [], behind: [] };
  parts.norm = (name, x, active) => {
    if (normalized) return normalisation(builder, name, x, active);
    return active ? rectifier(builder, x) : x;
  };
  parts.conv = (name, x, channels, k, stride) => convolution(builder, name, x, channels, k, stride, !normalized);
  if (!Object.hasOwn(ORDERS, config.activation)) throw new Error(`activation must be one of ${Object.keys(ORDERS).join(", ")}, got ${config.activation}`);
  const { images, head } = { stack: addStack, chain: addChain }[config.task]?.(parts) ?? addClassifier(parts, size, classes);
  const rates = builder.numbers(3);
  builder.finish();
  const { operations, tensors, parameters, statistics, kernels } = builder;
  const net = {
    config, images, head, labels: head.labels, wanted: head.wanted, layers: parts.layers, blocks: parts.blocks,
    outputs: parts.outputs, behind: parts.behind, parameters, statistics, operations, tensors, batch: config.batch_size,
    kernels: kernels.name, fused: kernels.fused,
    forward(training, valid = config.batch_size) {
      runForward(operations, training);
      return head.forward(valid);
    },
    backward() {
      for (const one of tensors) one.filled = false;
      head.backward();
      runBackward(operations);
    },
    update: () => update(builder, config, rates),
  };
  drawWeights(parameters, config);
  scaleLast(net, config);
  freeze(net, config);
  return net;
}
