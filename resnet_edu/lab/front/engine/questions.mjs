// What a network can be asked. Each question is a generator on a run ({ net, data, config, step }, training.mjs) and its
// settings: it yields { done, total, part } now and then and returns the answer; a mistake is an error for the reader.

import { showImages, showOne, splitOf } from "./data.mjs";
import { lossAt, randomDirection } from "./landscape.mjs";
import { jacobian, lens, maps, probabilitiesOf, sizes, spectra } from "./probes.mjs";
import { generator } from "./random.mjs";
import { blockOf, copyInput, newHead, recalibrate, remember, rememberStatistics, scaleFilters, setBlock, swapBlocks } from "./surgery.mjs";
import { timeBlocks } from "./timing.mjs";
import { evaluating, within } from "./training.mjs";
import { packNetwork } from "./weights.mjs";

const CALIBRATION = 512; // training images from which statistics are taken anew

/** Do something with statistics taken anew from training images, then put the old ones back. */
function* withFresh({ net, data }, fresh, body) {
  if (!fresh) return yield* body();
  const back = rememberStatistics(net);
  try {
    recalibrate(net, data, splitOf(data, { split: "train", images: CALIBRATION }));
    return yield* body();
  } finally {
    back();
  }
}

const describeBlocks = ({ net }) => net.blocks.map(({ number, stage, y, keeps, projects, connected, branchGain, shortcutGain }) => ({
  number, stage, channels: y.channels, size: y.size, identity: keeps && !projects, projects, connected, branch: branchGain, shortcut: shortcutGain,
}));

const evenly = (count) => Array.from({ length: count }, (_, n) => (2 * n) / (count - 1) - 1);
const numbers = (name, list) => {
  if (!Array.isArray(list) || !list.length || !list.every(Number.isFinite)) throw new Error(`${name} must be a list of numbers, got ${JSON.stringify(list)}`);
  return list;
};

function* predict({ net, data }, { image, ...split }) {
  const indices = image === undefined ? splitOf(data, split) : [image];
  const { classes, logits: found } = net.head;
  const logits = new Float32Array(indices.length * classes);
  for (let from = 0; from < indices.length; from += net.batch) {
    const some = indices.slice(from, from + net.batch);
    if (image === undefined) showImages(net, data, some);
    else showOne(net, data, image);
    net.forward(false);
    for (let n = 0; n < some.length; n++) for (let k = 0; k < classes; k++) logits[(from + n) * classes + k] = found[k * net.batch + n];
    yield { done: from + some.length, total: indices.length };
  }
  const known = Uint8Array.from(typeof image === "object" ? [] : indices, (index) => data.labels[index]);
  return { logits, labels: known, count: indices.length };
}

function* lesions(run, { fresh = false, ...split }) {
  const { net, data } = run;
  const indices = splitOf(data, split);
  const total = net.blocks.length;
  const measure = (done) => within(withFresh(run, fresh, () => evaluating(net, data, indices)), { done, total });
  const intact = (yield* measure(0)).error;
  const errors = [];
  for (const block of net.blocks) {
    const before = block.branchGain;
    try {
      block.branchGain = 0;
      errors.push((yield* measure(block.number - 1)).error);
    } finally {
      block.branchGain = before;
    }
    yield { done: block.number, total, part: { block: block.number, error: errors.at(-1) } };
  }
  return { intact, errors };
}

/** Sub-networks by a coin for each block that is not `spared`; a copy of each answer goes into the vote. */
function* vote(run, { members = 40, seed = 0, spared = [], fresh = false, ...split }) {
  const { net } = run;
  const indices = splitOf(run.data, split);
  const coin = generator(seed);
  const free = net.blocks.filter(({ number }) => !spared.includes(number));
  const cuts = Array.from({ length: members }, () => free.filter(() => coin.uniform() < 0.5).map(({ number }) => number));
  const gains = net.blocks.map(({ branchGain }) => branchGain);
  const total = new Float64Array(indices.length * net.head.classes);
  const [errors, together] = [[], []];
  for (const [member, cut] of cuts.entries()) {
    try {
      for (const number of cut) net.blocks[number - 1].branchGain = 0;
      const { logits, labels } = yield* within(withFresh(run, fresh, () => predict(run, split)), { done: member, total: members });
      const answers = probabilitiesOf(logits, net.head.classes);
      answers.forEach((value, n) => { total[n] += value; });
      errors.push(errorOf(answers, labels));
      together.push(errorOf(total, labels));
    } finally {
      net.blocks.forEach((block, index) => { block.branchGain = gains[index]; });
    }
    yield { done: member + 1, total: members, part: { error: errors[member], together: together[member] } };
  }
  return { cuts, errors, together };
}

/** The share of rows, in percent, whose largest number is not the label's. */
function errorOf(rows, labels) {
  const classes = rows.length / labels.length;
  let wrong = 0;
  labels.forEach((label, n) => {
    const row = rows.subarray(n * classes, (n + 1) * classes);
    wrong += row.indexOf(Math.max(...row)) !== label;
  });
  return (100 * wrong) / labels.length;
}

function* line({ net, data }, { seed = 0, normalization, alphas = evenly(21), ...split }) {
  const points = numbers("alphas", alphas).map((alpha) => [alpha]);
  return yield* lossAt(net, data, splitOf(data, split), [randomDirection(net, seed, normalization)], points);
}

function* surface({ net, data }, { seeds = [0, 1], normalization, alphas = evenly(21), betas = evenly(21), ...split }) {
  const points = numbers("alphas", alphas).flatMap((alpha) => numbers("betas", betas).map((beta) => [alpha, beta]));
  const directions = [0, 1].map((which) => randomDirection(net, numbers("seeds", seeds)[which], normalization));
  return yield* lossAt(net, data, splitOf(data, split), directions, points);
}

const firstBatch = ({ net, data }) => splitOf(data, { split: "train", images: net.batch });
const classifierOnly = ["evaluate", "logits", "lesions", "vote", "jacobian", "spectra", "lens", "maps", "line", "surface", "export", "head", "recalibrate"];

const answers = {
  describe: (run) => ({
    config: run.config, step: run.step, layers: run.net.layers.map(({ name }) => name.replace(".weight", "")),
    blocks: describeBlocks(run), parameters: run.net.parameters.reduce((sum, { count }) => sum + count, 0), kernels: run.net.kernels,
  }),
  set(run, { block, all, ...values }) {
    for (const one of all ? run.net.blocks : [blockOf(run.net, block)]) setBlock(one, values);
    return describeBlocks(run);
  },
  swap: ({ net }, { first, second }) => ({ order: [...swapBlocks(net, first, second)] }),
  recalibrate({ net, data }, { images = CALIBRATION }) {
    recalibrate(net, data, splitOf(data, { split: "train", images }));
    return {};
  },
  scale: ({ net }, { factor }) => (scaleFilters(net, factor), {}),
  head: ({ net, config }, { seed = config.seed }) => (newHead(net, seed), {}),
  keep: (run) => (run.back = remember(run.net), {}),
  restore(run) {
    if (!run.back) throw new Error("nothing was kept: ask keep first");
    run.back();
    return {};
  },
  export: ({ net, step }, { facts = {} }) => packNetwork(net, { step, ...facts }),
  copy: ({ net }, { block }) => (copyInput(net, block), {}),
  sizes(run, { images, training = true }) {
    if (run.data) showImages(run.net, run.data, numbers("images", images ?? firstBatch(run)));
    else run.feed();
    return sizes(run.net, training);
  },
  maps: ({ net, data }, { image }) => ({ maps: maps(net, data, image) }),
};

const studies = {
  evaluate: (run, { fresh, ...split }) => withFresh(run, fresh, () => evaluating(run.net, run.data, splitOf(run.data, split))),
  logits: (run, { fresh, ...rest }) => withFresh(run, fresh, () => predict(run, rest)),
  lesions, vote, line, surface,
  jacobian: ({ net, data }, { image, from = 1, to = from }) => {
    const [first, last] = [blockOf(net, from), blockOf(net, to)];
    if (from > to) throw new Error(`from must not lie behind to, got ${from} and ${to}`);
    return jacobian(net, data, image, first, last);
  },
  spectra: ({ net, data }, { images = data.test.slice(0, 4) }) => spectra(net, data, numbers("images", images)),
  lens: ({ net, data }, { image }) => lens(net, data, image),
};

/** Return the generator that answers a question; throws for one that does not exist or does not fit the run. */
export function* answer(run, question, settings = {}) {
  if (question !== "time" && !Object.hasOwn(answers, question) && !Object.hasOwn(studies, question)) {
    throw new Error(`there is no question ${JSON.stringify(question)}; there are ${[...Object.keys(answers), ...Object.keys(studies), "time"].join(", ")}`);
  }
  if (question === "time") return yield* timeBlocks(settings);
  if (!run) throw new Error("there is no network yet: start a run, or open one");
  const { task } = run.config;
  if (task !== "classify" && classifierOnly.includes(question)) throw new Error(`${question} needs a classifier; this is a ${task} of ${task === "chain" ? "convolutions" : "blocks"}`);
  if (Object.hasOwn(answers, question)) return answers[question](run, settings);
  return yield* studies[question](run, settings);
}
