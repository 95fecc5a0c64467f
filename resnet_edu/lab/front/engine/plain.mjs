// The kernels in plain JavaScript: to be read, and for browsers without WebAssembly SIMD. kernels.mjs says what each
// one computes; addresses are in bytes, as there.

const range = (count) => Array.from({ length: count }, (_, index) => index);

/** Every tap of a convolution that lies inside the image, as runs of N images: `visit(tap, from, to)`. */
function eachTap({ sizeIn, sizeOut, batch, k, stride }, visit) {
  const pad = (k - 1) / 2;
  for (let row = 0; row < sizeOut; row++) for (let column = 0; column < sizeOut; column++) {
    for (let ky = 0; ky < k; ky++) for (let kx = 0; kx < k; kx++) {
      const [y, x] = [row * stride + ky - pad, column * stride + kx - pad];
      if (y < 0 || y >= sizeIn || x < 0 || x >= sizeIn) continue;
      visit(ky * k + kx, (y * sizeIn + x) * batch, (row * sizeOut + column) * batch);
    }
  }
}

function plainConvolution(floats, shape) {
  const { inputs, outputs, sizeIn, sizeOut, batch } = shape;
  const [planeIn, planeOut] = [sizeIn * sizeIn * batch, sizeOut * sizeOut * batch];
  return {
    forward(x, w, y, bias) {
      x /= 4, w /= 4, y /= 4, bias /= 4;
      for (const o of range(outputs)) floats.fill(bias ? floats[bias + o] : 0, y + o * planeOut, y + (o + 1) * planeOut);
      eachTap(shape, (tap, from, to) => {
        for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) {
          const weight = floats[w + (tap * inputs + i) * outputs + o];
          const [source, target] = [x + i * planeIn + from, y + o * planeOut + to];
          for (let n = 0; n < batch; n++) floats[target + n] += weight * floats[source + n];
        }
      });
    },
    inputGradient(dy, w, dx, accumulate) {
      dy /= 4, w /= 4, dx /= 4;
      if (!accumulate) floats.fill(0, dx, dx + inputs * planeIn);
      eachTap(shape, (tap, from, to) => {
        for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) {
          const weight = floats[w + (tap * inputs + i) * outputs + o];
          const [source, target] = [dy + o * planeOut + to, dx + i * planeIn + from];
          for (let n = 0; n < batch; n++) floats[target + n] += weight * floats[source + n];
        }
      });
    },
    weightGradient(x, dy, dw) {
      x /= 4, dy /= 4, dw /= 4;
      floats.fill(0, dw, dw + shape.k * shape.k * inputs * outputs);
      eachTap(shape, (tap, from, to) => {
        for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) {
          let sum = 0;
          const [a, b] = [x + i * planeIn + from, dy + o * planeOut + to];
          for (let n = 0; n < batch; n++) sum += floats[a + n] * floats[b + n];
          floats[dw + (tap * inputs + i) * outputs + o] += sum;
        }
      });
    },
  };
}

function plainPasses(floats) {
  const each = (channels, bytes, visit) => {
    for (let c = 0; c < channels; c++) visit(c, (c * bytes) / 4, ((c + 1) * bytes) / 4);
  };
  const gate = (relu, y, dy, n) => (relu && !(floats[y + n] > 0) ? 0 : floats[dy + n]);
  return {
    moments(x, mean, variance, count, channels, bytes) {
      x /= 4, mean /= 4, variance /= 4;
      each(channels, bytes, (c, from, to) => {
        let [sum, squares] = [0, 0];
        for (let n = from; n < to; n++) sum += floats[x + n];
        const average = sum / (to - from);
        for (let n = from; n < to; n++) squares += (floats[x + n] - average) ** 2;
        floats[mean + c] = average;
        floats[variance + c] = squares / (to - from);
      });
    },
    affine(x, y, mean, scale, bias, channels, bytes, relu) {
      x /= 4, y /= 4, mean /= 4, scale /= 4, bias /= 4;
      each(channels, bytes, (c, from, to) => {
        for (let n = from; n < to; n++) {
          const value = (floats[x + n] - floats[mean + c]) * floats[scale + c] + floats[bias + c];
          floats[y + n] = relu && value < 0 ? 0 : value;
        }
      });
    },
    affineSums(x, y, dy, mean, sums, products, channels, bytes, relu) {
      x /= 4, y /= 4, dy /= 4, mean /= 4, sums /= 4, products /= 4;
      each(channels, bytes, (c, from, to) => {
        let [sum, product] = [0, 0];
        for (let n = from; n < to; n++) {
          const above = gate(relu, y, dy, n);
          sum += above;
          product += above * (floats[x + n] - floats[mean + c]);
        }
        floats[sums + c] = sum;
        floats[products + c] = product;
      });
    },
    affineBack(x, y, dy, dx, mean, factors, channels, bytes, relu, accumulate) {
      x /= 4, y /= 4, dy /= 4, dx /= 4, mean /= 4, factors /= 4;
      each(channels, bytes, (c, from, to) => {
        const [a, b, shift] = [0, 1, 2].map((part) => floats[factors + part * channels + c]);
        for (let n = from; n < to; n++) {
          const below = a * gate(relu, y, dy, n) + b * (floats[x + n] - floats[mean + c]) + shift;
          floats[dx + n] = accumulate ? floats[dx + n] + below : below;
        }
      });
    },
    join(a, b, y, gains, bytes, relu) {
      a /= 4, b /= 4, y /= 4, gains /= 4;
      for (let n = 0; n < bytes / 4; n++) {
        const sum = floats[gains] * floats[a + n] + floats[gains + 1] * floats[b + n];
        floats[y + n] = relu && sum < 0 ? 0 : sum;
      }
    },
    joinBack(y, dy, dx, gain, bytes, relu, accumulate) {
      y /= 4, dy /= 4, dx /= 4, gain /= 4;
      for (let n = 0; n < bytes / 4; n++) {
        const below = floats[gain] * gate(relu, y, dy, n);
        floats[dx + n] = accumulate ? floats[dx + n] + below : below;
      }
    },
    update(data, grad, velocity, rates, bytes) {
      data /= 4, grad /= 4, velocity /= 4, rates /= 4;
      const [rate, momentum, decay] = floats.subarray(rates, rates + 3);
      for (let n = 0; n < bytes / 4; n++) {
        floats[velocity + n] = momentum * floats[velocity + n] + (decay * floats[data + n] + floats[grad + n]);
        floats[data + n] -= rate * floats[velocity + n];
      }
    },
  };
}

/** Return memory for `floats` numbers and every kernel on it, for convolutions of these shapes. */
export function plainKernels(floats, shapes) {
  const array = new Float32Array(floats);
  const convolutions = shapes.map((shape) => plainConvolution(array, shape));
  return { buffer: array.buffer, convolutions, ...plainPasses(array), name: "plain JavaScript", fused: false };
}
