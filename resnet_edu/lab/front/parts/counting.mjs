// What a network of images holds and costs: the counterpart of resnet_edu.accounting, which a test compares for
// every choice. A convolution of padding (k - 1) / 2 and stride s makes ceil(H / s) of a side H.

const FLOAT = 4; // bytes

/**
 * Count one block for one image of `inputs` maps of `side` x `side`. `channels` are those inside; a bottleneck puts out
 * four times as many. `variant` says where a bottleneck has its stride; `bias` keeps biases before normalisation, `bare`
 * leaves projections without one. `memory`: the bytes that training keeps for the way back (`activation_memory`).
 */
export function countBlock({ block, inputs, channels, stride = 1, shortcut = "A", variant = "v1.5", side, bias = false, bare = false }) {
  const outputs = block === "bottleneck" ? 4 * channels : channels;
  const first = variant === "v1" ? stride : 1;
  const layers = block === "bottleneck" ? [[inputs, channels, 1, first], [channels, channels, 3, stride / first], [channels, outputs, 1, 1]]
    : [[inputs, channels, 3, stride], [channels, channels, 3, 1]];
  const made = { outputs, side: Math.ceil(side / stride), layers: layers.length, projections: 0, parameters: 0, multiply_adds: 0, memory: FLOAT * inputs * side ** 2 };
  const convolve = ([from, to, k, step], at, normalised) => {
    const after = Math.ceil(at / step);
    made.parameters += k * k * from * to + (bias ? to : 0) + (normalised ? 2 * to : 0);
    made.multiply_adds += after ** 2 * k * k * from * to;
    if (normalised) made.memory += FLOAT * (to * after ** 2 + 2 * to); // its input, mean and deviation
    return after;
  };
  let at = side;
  for (const layer of layers) {
    at = convolve(layer, at, true);
    made.memory += FLOAT * layer[1] * at ** 2; // what a ReLU lets through
  }
  if (shortcut === "C" || (shortcut === "B" && (stride > 1 || inputs !== outputs))) {
    convolve([inputs, outputs, 1, stride], side, !bare);
    made.projections = 1;
  }
  return made;
}

/**
 * Count a network: stem, stages of `counts` blocks that start with `width` channels and double them, pooling, linear
 * layer, for one image of `colours` maps of `side` x `side`. `stages` lists stem, stages and classifier.
 */
export function countNetwork({ block, counts, stem, width, side, colours, classes, bias = false, ...more }) {
  const stages = [];
  const large = stem === "imagenet";
  const k = large ? 7 : 3;
  let at = large ? Math.ceil(side / 2) : side;
  const weights = k * k * colours * width;
  stages.push({ name: large ? "stem: 7×7, stride 2, pooling" : "stem: 3×3", blocks: 0, layers: 1, projections: 0, channels: width,
    parameters: weights + (bias ? width : 0) + 2 * width, multiply_adds: at ** 2 * weights, side: large ? Math.ceil(at / 2) : at });
  at = stages[0].side;
  let inputs = width;
  counts.filter(Boolean).forEach((count, index) => {
    const stage = { name: `stage ${index + 1}`, blocks: count, layers: 0, projections: 0, parameters: 0, multiply_adds: 0 };
    for (let n = 0; n < count; n++) {
      const made = countBlock({ ...more, block, inputs, channels: width << index, stride: index && !n ? 2 : 1, side: at, bias });
      for (const key of ["layers", "projections", "parameters", "multiply_adds"]) stage[key] += made[key];
      [inputs, at] = [made.outputs, made.side];
    }
    stages.push({ ...stage, channels: inputs, side: at });
  });
  stages.push({ name: "average, linear", blocks: 0, layers: 1, projections: 0, channels: classes, side: 1, parameters: (inputs + 1) * classes, multiply_adds: inputs * classes });
  const total = (key) => stages.reduce((sum, one) => sum + one[key], 0);
  return { stages, layers: total("layers"), projections: total("projections"), parameters: total("parameters"), multiply_adds: total("multiply_adds") };
}
