// The loss along directions in weight space (resnet_edu.landscape, Li et al. 2018): evaluation mode, the centre's
// statistics; the network stays as it is.

import { generator } from "./random.mjs";
import { evaluating, within } from "./training.mjs";

/**
 * A random direction: for each parameter its numbers. Gaussian; with "filter" each filter (all weights of one output) is
 * scaled to the norm of the network's own (Li et al. 2018, section 4), with "none" it stays as drawn. Biases and
 * normalisation get 0. Equal seeds draw equal numbers, whatever the normalisation.
 */
export function randomDirection(net, seed, normalization = "filter") {
  if (!["filter", "none"].includes(normalization)) throw new Error(`normalization must be "filter" or "none", got ${JSON.stringify(normalization)}`);
  const random = generator(seed);
  return net.parameters.map(({ k, shape, channels, count, data }) => {
    const drawn = new Float32Array(count);
    if (!k && !shape) return drawn;
    const filters = k ? channels : shape[0];
    const filterOf = k ? (n) => n % filters : (n) => Math.floor(n / shape[1]);
    const [own, made] = [new Float64Array(filters), new Float64Array(filters)];
    for (let n = 0; n < count; n++) {
      drawn[n] = random.normal();
      own[filterOf(n)] += data[n] ** 2;
      made[filterOf(n)] += drawn[n] ** 2;
    }
    if (normalization === "filter") for (let n = 0; n < count; n++) drawn[n] *= Math.sqrt(own[filterOf(n)] / made[filterOf(n)]);
    return drawn;
  });
}

/** Loss and error on images at `points`, each a list of steps along the directions; yields { done, total, part }. */
export function* lossAt(net, data, indices, directions, points) {
  const centre = net.parameters.map(({ data: own }) => own.slice());
  const [loss, error] = [new Float32Array(points.length), new Float32Array(points.length)];
  try {
    for (const [index, steps] of points.entries()) {
      net.parameters.forEach(({ data: own, count }, place) => {
        for (let n = 0; n < count; n++) {
          own[n] = steps.reduce((sum, step, which) => sum + step * directions[which][place][n], centre[place][n]);
        }
      });
      const found = yield* within(evaluating(net, data, indices), { done: index, total: points.length });
      [loss[index], error[index]] = [found.loss, found.error];
      yield { done: index + 1, total: points.length, part: { index, loss: found.loss, error: found.error } };
    }
  } finally {
    net.parameters.forEach(({ data: own }, place) => own.set(centre[place]));
  }
  return { loss, error };
}
