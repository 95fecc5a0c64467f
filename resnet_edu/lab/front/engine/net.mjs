// Residual and plain networks for small images, their gradients and SGD: the counterpart of
// resnet_edu.networks.cifar_resnet, in the same order and with the same starting distributions.
// A network is a list of operations on tensors (C, H, W, N) that is built once and run many times.

import { makeKernels } from "./kernels.mjs";

const EPSILON = 1e-5; // of batch normalisation, and below the momentum of its running figures: PyTorch's values
const RUNNING = 0.1;

/** Random numbers from a seed: uniform (mulberry32) and normal (Box and Muller). */
export function generator(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

/**
 * Build a network from a configuration (keys and defaults: resnet_edu/lab/__init__.py).
 *
 * `images` is the input (size, size, N), `labels` (N) its classes; `forward(training)` returns the mean
 * cross-entropy and the number of wrong answers, `backward()` fills the gradients, `update()` is one step of SGD.
 * `layers` are the weighted layers that He et al. count, input first (no projections); `blocks` are the residual
 * blocks, each with `connected`, which may change between any two steps.
 */
export function buildNet(config, { size = 8, classes = 10, simd = true } = {}) {
  const { depth, width, batch_size: batch, shortcut } = config;
  const [normalized, pre] = [config.normalization === "batch", config.activation === "pre"];
  const tensors = [], parameters = [], operations = [], layers = [], blocks = [];
  let kernels; // set at the end, when it is known how much memory is needed

  const tensor = (channels, size) => {
    const made = { channels, size, count: channels * size * size * batch, data: null, grad: null };
    tensors.push(made);
    return made;
  };
  const parameter = (name, count, extra) => {
    const made = { name, count, data: null, grad: null, velocity: new Float32Array(count), ...extra };
    parameters.push(made);
    return made;
  };
  const operation = (forward, backward) => operations.push({ forward, backward });

  function conv(name, x, channels, k, stride) {
    const y = tensor(channels, Math.ceil(x.size / stride));
    const [inputs, taps] = [x.channels, k * k];
    const weight = parameter(`${name}.weight`, taps * inputs * channels, { fan: taps * channels, k, inputs, channels });
    const bias = normalized ? null : parameter(`${name}.bias`, channels);
    const turned = parameter(null, taps * inputs * channels); // flipped and transposed, for the way back
    const shape = [x.size, y.size, batch, k];
    const plane = y.size * y.size * batch;
    operation(() => {
      for (let c = 0; c < channels; c++) y.data.fill(bias ? bias.data[c] : 0, c * plane, (c + 1) * plane);
      kernels.correlate(x.data.byteOffset, weight.data.byteOffset, y.data.byteOffset, inputs, channels, ...shape, stride, 1);
    }, () => {
      kernels.weightGradient(x.data.byteOffset, y.grad.byteOffset, weight.grad.byteOffset, inputs, channels, ...shape, stride);
      for (let c = 0; bias && c < channels; c++) {
        let sum = 0;
        for (let n = c * plane; n < (c + 1) * plane; n++) sum += y.grad[n];
        bias.grad[c] = sum;
      }
      if (!x.grad) return;
      for (let t = 0; t < taps; t++) for (let i = 0; i < inputs; i++) for (let c = 0; c < channels; c++) {
        turned.data[((taps - 1 - t) * channels + c) * inputs + i] = weight.data[(t * inputs + i) * channels + c];
      }
      kernels.correlate(y.grad.byteOffset, turned.data.byteOffset, x.grad.byteOffset, channels, inputs, y.size, x.size, batch, k, 1, stride);
    });
    return { y, weight };
  }

  function relu(x) {
    const y = tensor(x.channels, x.size);
    operation(() => {
      for (let n = 0; n < x.count; n++) y.data[n] = x.data[n] > 0 ? x.data[n] : 0;
    }, () => {
      for (let n = 0; n < x.count; n++) if (y.data[n] > 0) x.grad[n] += y.grad[n];
    });
    return y;
  }

  // Batch normalisation, and a ReLU behind it where `active`; without normalisation, the ReLU alone.
  function norm(name, x, active) {
    if (!normalized) return active ? relu(x) : x;
    const { channels } = x;
    const y = tensor(channels, x.size);
    const [gain, bias] = [parameter(`${name}.weight`, channels, { start: 1 }), parameter(`${name}.bias`, channels)];
    const running = { mean: new Float32Array(channels), variance: new Float32Array(channels).fill(1) };
    const [mean, inverse] = [new Float64Array(channels), new Float64Array(channels)];
    const count = x.size * x.size * batch;
    operation((training) => {
      for (let c = 0; c < channels; c++) {
        const [from, to, input, output] = [c * count, (c + 1) * count, x.data, y.data];
        let [average, variance] = [running.mean[c], running.variance[c]];
        if (training) {
          average = variance = 0;
          for (let n = from; n < to; n++) average += input[n];
          average /= count;
          for (let n = from; n < to; n++) variance += (input[n] - average) * (input[n] - average);
          variance /= count;
          running.mean[c] += RUNNING * (average - running.mean[c]);
          running.variance[c] += RUNNING * ((variance * count) / (count - 1) - running.variance[c]);
        }
        mean[c] = average;
        inverse[c] = 1 / Math.sqrt(variance + EPSILON);
        const scale = inverse[c] * gain.data[c];
        const offset = bias.data[c] - average * scale;
        if (active) {
          for (let n = from; n < to; n++) {
            const value = input[n] * scale + offset;
            output[n] = value > 0 ? value : 0;
          }
        } else for (let n = from; n < to; n++) output[n] = input[n] * scale + offset;
      }
    }, () => {
      for (let c = 0; c < channels; c++) {
        const [from, to, input, output, above, below] = [c * count, (c + 1) * count, x.data, y.data, y.grad, x.grad];
        const [average, scale] = [mean[c], inverse[c]];
        let [ofGain, ofBias] = [0, 0];
        if (active) for (let n = from; n < to; n++) if (!(output[n] > 0)) above[n] = 0;
        for (let n = from; n < to; n++) {
          ofBias += above[n];
          ofGain += above[n] * (input[n] - average);
        }
        ofGain *= scale;
        gain.grad[c] = ofGain;
        bias.grad[c] = ofBias;
        const [a, b] = [scale * gain.data[c], (scale * ofGain) / count];
        const shift = ofBias / count - average * b;
        for (let n = from; n < to; n++) below[n] += a * (above[n] - shift - b * input[n]);
      }
    });
    return y;
  }

  // Option A of He et al. 2015, section 3.3: every stride-th pixel, new channels zero, half of them on each side.
  function padded(x, channels, stride) {
    const y = tensor(channels, Math.ceil(x.size / stride));
    const first = (channels - x.channels) >> 1;
    const each = (copy) => {
      for (let c = 0; c < x.channels; c++) for (let row = 0; row < y.size; row++) for (let column = 0; column < y.size; column++) {
        const from = ((c * x.size + row * stride) * x.size + column * stride) * batch;
        copy(from, (((c + first) * y.size + row) * y.size + column) * batch);
      }
    };
    operation(() => each((from, to) => y.data.set(x.data.subarray(from, from + batch), to)), () =>
      each((from, to) => {
        for (let n = 0; n < batch; n++) x.grad[from + n] += y.grad[to + n];
      }));
    return y;
  }

  function join(branch, side, block, active) {
    const y = tensor(branch.channels, branch.size);
    operation(() => {
      const [a, b, sum] = [branch.data, side.data, y.data];
      if (block.connected) for (let n = 0; n < y.count; n++) sum[n] = a[n] + b[n];
      else sum.set(a);
      if (active) for (let n = 0; n < y.count; n++) if (!(sum[n] > 0) && sum[n] === sum[n]) sum[n] = 0;
    }, () => {
      const [a, b, sum, above] = [branch.grad, side.grad, y.data, y.grad];
      if (active) for (let n = 0; n < y.count; n++) if (!(sum[n] > 0)) above[n] = 0;
      for (let n = 0; n < y.count; n++) a[n] += above[n];
      if (block.connected) for (let n = 0; n < y.count; n++) b[n] += above[n];
    });
    return y;
  }

  // Operations of a path that a cut takes out of the network.
  function gated(block, build) {
    const start = operations.length;
    const made = build();
    for (const step of operations.slice(start)) {
      const { forward, backward } = step;
      step.forward = (training) => block.connected && forward(training);
      step.backward = () => block.connected && backward();
    }
    return made;
  }

  function addBlock(x, channels, stride, isFirst) {
    const name = `block${blocks.length + 1}`;
    const block = { connected: shortcut !== "none", stage: Math.log2(channels / width) + 1 };
    const activated = pre && !isFirst ? norm(`${name}.bn1`, x, true) : x; // pre-activation: He et al. 2016, Fig. 4e
    const one = conv(`${name}.conv1`, activated, channels, 3, stride);
    const middle = norm(pre ? `${name}.bn2` : `${name}.bn1`, one.y, true);
    const two = conv(`${name}.conv2`, middle, channels, 3, 1);
    const branch = pre ? two.y : norm(`${name}.bn2`, two.y, false);
    const keeps = stride === 1 && x.channels === channels;
    const projects = shortcut === "C" || (shortcut === "B" && !keeps);
    const side = gated(block, () => {
      if (projects) {
        const { y } = conv(`${name}.downsample.0`, pre ? activated : x, channels, 1, stride);
        return pre ? y : norm(`${name}.downsample.1`, y, false);
      }
      return keeps ? x : padded(x, channels, stride);
    });
    layers.push(one.weight, two.weight);
    blocks.push(Object.assign(block, { branch, projects, keeps }));
    return join(branch, side, block, !pre);
  }

  const images = tensor(1, size);
  const stem = conv("conv1", images, width, 3, 1);
  layers.push(stem.weight);
  let x = norm("bn1", stem.y, true);
  const count = (depth - 2) / 6;
  for (let stage = 0; stage < 3; stage++) for (let index = 0; index < count; index++) {
    x = addBlock(x, width << stage, stage && !index ? 2 : 1, !stage && !index);
  }
  if (pre) x = norm("bn_last", x, true);

  // Global average pooling, the linear layer, softmax and the mean cross-entropy.
  const last = x;
  const pixels = last.size * last.size;
  const weight = parameter("fc.weight", classes * last.channels, { bound: last.channels ** -0.5 });
  const bias = parameter("fc.bias", classes, { bound: last.channels ** -0.5 });
  layers.push(weight);
  const labels = new Uint8Array(batch);
  const pooled = new Float64Array(last.channels * batch);
  const logits = new Float64Array(classes * batch); // then their gradient
  function head(valid) {
    let [loss, wrong] = [0, 0];
    pooled.fill(0);
    for (let c = 0; c < last.channels; c++) for (let p = 0; p < pixels; p++) for (let n = 0; n < batch; n++) {
      pooled[c * batch + n] += last.data[(c * pixels + p) * batch + n] / pixels;
    }
    for (let n = 0; n < batch; n++) {
      let best = 0;
      for (let k = 0; k < classes; k++) {
        let sum = bias.data[k];
        for (let c = 0; c < last.channels; c++) sum += weight.data[k * last.channels + c] * pooled[c * batch + n];
        logits[k * batch + n] = sum;
        if (sum > logits[best * batch + n]) best = k;
      }
      const top = logits[best * batch + n];
      let total = 0;
      for (let k = 0; k < classes; k++) total += Math.exp(logits[k * batch + n] - top);
      if (n < valid) {
        loss += top + Math.log(total) - logits[labels[n] * batch + n];
        wrong += best !== labels[n];
      }
      for (let k = 0; k < classes; k++) {
        const share = Math.exp(logits[k * batch + n] - top) / total;
        logits[k * batch + n] = (share - (k === labels[n])) / batch;
      }
    }
    return { loss: loss / valid, wrong };
  }
  function headBackward() {
    for (let k = 0; k < classes; k++) {
      let sum = 0;
      for (let n = 0; n < batch; n++) sum += logits[k * batch + n];
      bias.grad[k] = sum;
      for (let c = 0; c < last.channels; c++) {
        let product = 0;
        for (let n = 0; n < batch; n++) product += logits[k * batch + n] * pooled[c * batch + n];
        weight.grad[k * last.channels + c] = product;
      }
    }
    for (let c = 0; c < last.channels; c++) for (let n = 0; n < batch; n++) {
      let sum = 0;
      for (let k = 0; k < classes; k++) sum += weight.data[k * last.channels + c] * logits[k * batch + n];
      for (let p = 0; p < pixels; p++) last.grad[(c * pixels + p) * batch + n] += sum / pixels;
    }
  }

  // One block of memory for everything that the kernels touch.
  const arrays = [];
  for (const owner of tensors) arrays.push([owner, "data"], ...(owner === images ? [] : [[owner, "grad"]]));
  for (const owner of parameters) arrays.push([owner, "data"], ...(owner.name ? [[owner, "grad"]] : []));
  const room = (count) => (count + 3) & ~3; // whole vectors
  kernels = makeKernels(arrays.reduce((sum, [owner]) => sum + room(owner.count), 0), simd);
  let offset = 0;
  for (const [owner, key] of arrays) {
    owner[key] = new Float32Array(kernels.buffer, 4 * offset, owner.count);
    offset += room(owner.count);
  }

  // Weights of a twin are equal whatever its shortcuts: projections draw from a stream of their own.
  const streams = [generator(config.seed), generator(config.seed + 0x9e3779b9)];
  const learned = parameters.filter((one) => one.name);
  for (const one of learned) {
    const random = streams[one.name.includes("downsample") ? 1 : 0];
    for (let n = 0; n < one.count; n++) {
      if (one.fan) one.data[n] = random.normal() * Math.sqrt(2 / one.fan); // He et al. 2015b: variance 2 / fan_out
      else if (one.bound) one.data[n] = (2 * random.uniform() - 1) * one.bound; // PyTorch's nn.Linear
      else one.data[n] = one.start ?? 0;
    }
  }

  return {
    images, labels, layers, blocks, parameters: learned, kernels: kernels.name,
    forward(training, valid = batch) {
      for (const step of operations) step.forward(training);
      return head(valid);
    },
    backward() {
      for (const { grad } of tensors) grad?.fill(0);
      for (const { grad } of learned) grad.fill(0);
      headBackward();
      for (let index = operations.length - 1; index >= 0; index--) operations[index].backward();
    },
    update() { // torch.optim.SGD: weight decay and momentum on every parameter
      const { learning_rate: rate, momentum, weight_decay: decay } = config;
      for (const { count, data, grad, velocity } of learned) for (let n = 0; n < count; n++) {
        velocity[n] = momentum * velocity[n] + grad[n] + decay * data[n];
        data[n] -= rate * velocity[n];
      }
    },
  };
}
