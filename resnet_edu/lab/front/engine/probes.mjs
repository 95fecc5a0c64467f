// Measurements on a network that stays as it is: sizes forwards and backwards, Jacobians, what each block adds.
// Generators: they yield { done, total, part } now and then, so that a Worker can report and stop, and return the answer.

import { showOne } from "./data.mjs";
import { runBackward, runForward } from "./layers.mjs";
import { singularValues } from "./singular.mjs";
import { moments, norm, responseOf, size } from "./sizes.mjs";
import { rememberStatistics } from "./surgery.mjs";
import { within } from "./training.mjs";

/** Sizes of activations, gradients and weights for what `net` is shown (the question `sizes`; its text says what is what). */
export function sizes(net, training = true) {
  const back = rememberStatistics(net);
  const { loss } = net.forward(training);
  net.backward();
  back();
  const gradient = (tensor) => (tensor.filled ? norm(tensor.grad) : 0);
  const weights = (layer) => ({ weight: norm(layer.data), weight_gradient: norm(layer.grad) });
  const layers = net.outputs.map((output, index) => ({
    name: net.layers[index].name.replace(".weight", ""), kind: "convolution", response: responseOf(output),
    activation: size(net.behind[index].data), activation_gradient: gradient(net.behind[index]), gradient: gradient(output),
    ...weights(net.layers[index]),
  }));
  const { logits, slope, weight } = net.head;
  if (logits) {
    const { mean, square } = moments(logits);
    layers.push({
      name: "fc", kind: "linear", response: Math.sqrt(Math.max(0, square - mean ** 2)), activation: Math.sqrt(square),
      activation_gradient: norm(slope), gradient: norm(slope), ...weights(weight),
    });
  }
  const blocks = net.blocks.map((block) => {
    const [ofBranch, ofSide] = block.gains();
    return {
      input: size(block.x.data), branch: ofBranch ? size(block.branch.data, ofBranch) : 0,
      shortcut: ofSide ? size(block.side.data, ofSide) : 0, output: size(block.y.data), gradient: gradient(block.y),
    };
  });
  return { loss, layers, blocks, features: net.head.x ? size(net.head.x.data) : null };
}

/**
 * The Jacobian of blocks `first` … `last` together at what `net` last saw in evaluation mode (the same image in every
 * place): as many rows at a time as the batch has places, each sent back from one output.
 */
function* pullBack(net, first, last) {
  const { batch, tensors, operations } = net;
  const { y } = last;
  const { x } = first;
  const [rows, columns] = [y.count / batch, x.count / batch];
  const matrix = new Float32Array(rows * columns);
  for (let from = 0; from < rows; from += batch) {
    for (const one of tensors) one.filled = false;
    y.grad.fill(0);
    for (let n = 0; n < batch && from + n < rows; n++) y.grad[(from + n) * batch + n] = 1;
    y.filled = true;
    runBackward(operations, first.from, last.to);
    for (let n = 0; x.filled && n < batch && from + n < rows; n++) {
      for (let column = 0; column < columns; column++) matrix[(from + n) * columns + column] = x.grad[column * batch + n];
    }
    yield { done: Math.min(rows, from + batch), total: rows };
  }
  return { matrix, rows, columns };
}

/** The question `jacobian`. */
export function* jacobian(net, data, image, first, last) {
  showOne(net, data, image);
  net.forward(false);
  const found = yield* pullBack(net, first, last);
  return { ...found, values: singularValues(found.matrix, found.rows, found.columns) };
}

const KEPT = 0.01; // a direction counts as kept above this singular value, as resnet_edu.probes.KEPT
const SMALLEST = 1e-12; // as resnet_edu.probes: a closed ReLU makes exact zeros, which have no logarithm

/** The question `spectra`: resnet_edu.probes.block_spectra with method "nearest". */
export function* spectra(net, data, images) {
  const { blocks } = net;
  const sums = { largest: blocks.map(() => 0), median: blocks.map(() => 0), product: new Array(11).fill(0) };
  const add = (list, index, value) => { list[index] += Math.log(Math.max(value, SMALLEST)) / images.length; };
  const [total, even] = [images.length * (blocks.length + 1), (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))];
  let [done, kept] = [0, 0];
  for (const image of images) {
    showOne(net, data, image);
    net.forward(false);
    for (const [index, block] of blocks.entries()) {
      const { matrix, rows, columns } = yield* within(pullBack(net, block, block), { done, total });
      const values = singularValues(matrix, rows, columns);
      add(sums.largest, index, values[0]);
      add(sums.median, index, (values[(values.length - 1) >> 1] + values[values.length >> 1]) / 2);
      yield { done: ++done, total };
    }
    const { matrix, rows, columns } = yield* within(pullBack(net, blocks[0], blocks.at(-1)), { done, total });
    const values = singularValues(matrix, rows, columns);
    for (let q = 0; q <= 10; q++) add(sums.product, q, values[values.length - 1 - even(((10 - q) * (values.length - 1)) / 10)]);
    kept += values.filter((value) => value > KEPT).length / values.length / images.length;
    yield { done: ++done, total };
  }
  return { ...Object.fromEntries(Object.entries(sums).map(([name, list]) => [name, list.map(Math.exp)])), kept };
}

/** The question `lens`: the classifier's answer behind each block, with the branches of all later blocks off. */
export function* lens(net, data, image) {
  const { blocks, head, batch, operations } = net;
  const { classes } = head;
  const logits = new Float32Array((blocks.length + 1) * classes);
  const gains = blocks.map(({ branchGain }) => branchGain);
  try {
    showOne(net, data, image);
    net.forward(false);
    for (let row = blocks.length; ; row--) {
      for (let k = 0; k < classes; k++) logits[row * classes + k] = head.logits[k * batch];
      yield { done: blocks.length + 1 - row, total: blocks.length + 1 };
      if (!row) break;
      blocks[row - 1].branchGain = 0;
      runForward(operations, false, blocks[row - 1].from);
      head.forward(batch);
    }
  } finally {
    blocks.forEach((block, index) => { block.branchGain = gains[index]; });
  }
  return { logits, probabilities: probabilitiesOf(logits, classes) };
}

/** The softmax of every row of `classes` logits. */
export function probabilitiesOf(logits, classes) {
  const found = new Float32Array(logits.length);
  for (let from = 0; from < logits.length; from += classes) {
    const row = logits.subarray(from, from + classes);
    const top = Math.max(...row);
    const total = row.reduce((sum, value) => sum + Math.exp(value - top), 0);
    row.forEach((value, k) => { found[from + k] = Math.exp(value - top) / total; });
  }
  return found;
}

/** The question `maps`: what one image becomes, in the stem and in each block's branch, shortcut and output. */
export function maps(net, data, image) {
  showOne(net, data, image);
  net.forward(false);
  const take = (name, { channels, size: side, data: numbers }, factor = 1) => ({
    name, channels, size: side,
    values: Float32Array.from({ length: channels * side * side }, (_, n) => (factor ? factor * numbers[n * net.batch] : 0)),
  });
  return [
    take("conv1", net.behind[0]),
    ...net.blocks.flatMap((block) => {
      const [ofBranch, ofSide] = block.gains();
      const name = `block${block.number}`;
      return [take(`${name}.branch`, block.branch, ofBranch), take(`${name}.shortcut`, block.side, ofSide), take(`${name}.output`, block.y)];
    }),
  ];
}
