// What stands behind the last block: a classifier with its cross-entropy, a mean-squared error, or a gradient as given.

/** Global average pooling, the linear layer, softmax and the mean cross-entropy; `twice` has one softmax too many. */
export function classifier(builder, x, classes, twice = false) {
  const { batch } = builder;
  const pixels = x.size * x.size;
  const weight = builder.parameter("fc.weight", classes * x.channels, { bound: x.channels ** -0.5, shape: [classes, x.channels] });
  const bias = builder.parameter("fc.bias", classes, { bound: x.channels ** -0.5 });
  const labels = new Uint8Array(batch);
  const pooled = new Float64Array(x.channels * batch);
  const [logits, slope] = [new Float64Array(classes * batch), new Float64Array(classes * batch)];

  function answer() {
    pooled.fill(0);
    for (let c = 0; c < x.channels; c++) for (let p = 0; p < pixels; p++) for (let n = 0; n < batch; n++) {
      pooled[c * batch + n] += x.data[(c * pixels + p) * batch + n] / pixels;
    }
    for (let k = 0; k < classes; k++) for (let n = 0; n < batch; n++) {
      let sum = bias.data[k];
      for (let c = 0; c < x.channels; c++) sum += weight.data[k * x.channels + c] * pooled[c * batch + n];
      logits[k * batch + n] = sum;
    }
    if (twice) eachImage((n, sum) => {
      const total = sum((k) => Math.exp(logits[k * batch + n]));
      for (let k = 0; k < classes; k++) logits[k * batch + n] = Math.exp(logits[k * batch + n]) / total;
    });
  }
  function eachImage(visit) {
    for (let n = 0; n < batch; n++) visit(n, (of) => { let total = 0; for (let k = 0; k < classes; k++) total += of(k); return total; });
  }
  function forward(valid) {
    answer();
    let [loss, wrong] = [0, 0];
    for (let n = 0; n < batch; n++) {
      let best = 0;
      for (let k = 1; k < classes; k++) if (logits[k * batch + n] > logits[best * batch + n]) best = k;
      const top = logits[best * batch + n];
      let total = 0;
      for (let k = 0; k < classes; k++) total += Math.exp(logits[k * batch + n] - top);
      if (n < valid) {
        loss += top + Math.log(total) - logits[labels[n] * batch + n];
        wrong += best !== labels[n];
      }
      for (let k = 0; k < classes; k++) {
        const share = Math.exp(logits[k * batch + n] - top) / total;
        slope[k * batch + n] = (share - (k === labels[n])) / batch;
      }
    }
    return { loss: loss / valid, wrong };
  }
  function backward() {
    if (twice) eachImage((n, sum) => {
      const mean = sum((k) => logits[k * batch + n] * slope[k * batch + n]);
      for (let k = 0; k < classes; k++) slope[k * batch + n] = logits[k * batch + n] * (slope[k * batch + n] - mean);
    });
    for (let k = 0; k < classes; k++) {
      let sum = 0;
      for (let n = 0; n < batch; n++) sum += slope[k * batch + n];
      bias.grad[k] = sum;
      for (let c = 0; c < x.channels; c++) {
        let product = 0;
        for (let n = 0; n < batch; n++) product += slope[k * batch + n] * pooled[c * batch + n];
        weight.grad[k * x.channels + c] = product;
      }
    }
    for (let c = 0; c < x.channels; c++) for (let n = 0; n < batch; n++) {
      let sum = 0;
      for (let k = 0; k < classes; k++) sum += weight.data[k * x.channels + c] * slope[k * batch + n];
      for (let p = 0; p < pixels; p++) x.grad[(c * pixels + p) * batch + n] = sum / pixels;
    }
    x.filled = true;
  }
  return { x, weight, labels, logits, slope, classes, forward, backward };
}

/** The squared error relative to the mean square of what is wanted: 1 for a network that puts out zeros. */
export function regression(x) {
  const wanted = new Float32Array(x.count);
  let power;
  return {
    wanted,
    forward() {
      let sum = power = 0;
      for (let n = 0; n < x.count; n++) {
        sum += (x.data[n] - wanted[n]) ** 2;
        power += wanted[n] * wanted[n];
      }
      return { loss: sum / power, wrong: 0 };
    },
    backward() {
      for (let n = 0; n < x.count; n++) x.grad[n] = (2 * (x.data[n] - wanted[n])) / power;
      x.filled = true;
    },
  };
}

/** The sum of what comes out times fixed numbers (`wanted`), which are the gradient that is sent back. */
export function projection(x) {
  const wanted = new Float32Array(x.count);
  return {
    wanted,
    forward: () => ({ loss: wanted.reduce((sum, value, n) => sum + value * x.data[n], 0), wrong: 0 }),
    backward() {
      x.grad.set(wanted);
      x.filled = true;
    },
  };
}
