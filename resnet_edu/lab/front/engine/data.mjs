// Images and labels: the bundled digits, a part of them, turned or not.

import { generator, shuffle } from "./random.mjs";

/** Pixel values of `count` images of `pixels` each, as resnet_edu/lab/packing.py packed them (a range coder). */
export function unpackImages(text, count, pixels) {
  const bytes = atob(text);
  const probabilities = new Uint16Array(pixels * 32).fill(1 << 10);
  const values = new Uint8Array(count * pixels);
  let [at, width, code] = [0, 0xffffffff, 0];
  const next = () => { code = ((code << 8) | bytes.charCodeAt(at++)) >>> 0; };
  for (let n = 0; n < 4; n++) next();
  for (let place = 0; place < values.length; place++) {
    let node = 1;
    while (node < 32) {
      const index = (place % pixels) * 32 + node;
      const bound = (width >>> 11) * probabilities[index];
      const bit = Number(code >= bound);
      if (bit) {
        code -= bound;
        width -= bound;
        probabilities[index] -= probabilities[index] >> 5;
      } else {
        width = bound;
        probabilities[index] += (2048 - probabilities[index]) >> 5;
      }
      node = 2 * node + bit;
      while (width < 1 << 24) {
        width = (width << 8) >>> 0;
        next();
      }
    }
    values[place] = node - 32;
  }
  return values;
}

/** Unpack the digits as resnet_edu.lab.digits_data wrote them. */
export function unpackDigits({ images, labels, train, mean, std }) {
  const [pixels, total] = [64, labels.length];
  const values = Float32Array.from(unpackImages(images, total, pixels), (value) => (value - mean) / std);
  const order = Array.from({ length: train }, (_, index) => index);
  const test = Array.from({ length: total - train }, (_, n) => train + n);
  return { values, labels: Uint8Array.from(labels), order, test, pixels, total, train, mean, std };
}

/** One image turned by a quarter, `times` times, clockwise; (row, column) of the result comes from (size - 1 - column, row). */
function turned(values, size, times) {
  let image = values;
  for (let t = 0; t < times; t++) {
    image = image.map((_, place) => image[(size - 1 - (place % size)) * size + Math.floor(place / size)]);
  }
  return image;
}

/**
 * Return a part of the digits: `classes` alone, `per_class` of each in the training set (chosen by `seed`), each
 * image turned clockwise by `turn` degrees. Throws for what cannot be had.
 */
export function selectDigits(digits, { turn = 0, classes = null, per_class: perClass = null, seed = 0 } = {}) {
  if (turn % 90) throw new Error(`turn must be 0, 90, 180 or 270 degrees, got ${turn}`);
  const wanted = (index) => !classes || classes.includes(digits.labels[index]);
  let order = digits.order.filter(wanted);
  if (perClass) {
    const seen = new Map();
    order = shuffle(order, generator(seed)).filter((index) => {
      const before = seen.get(digits.labels[index]) ?? 0;
      seen.set(digits.labels[index], before + 1);
      return before < perClass;
    });
  }
  const values = new Float32Array(digits.values);
  const [pixels, size] = [digits.pixels, Math.sqrt(digits.pixels)];
  const times = (((turn / 90) % 4) + 4) % 4;
  for (let n = 0; times && n < digits.total; n++) {
    values.set(turned(values.slice(n * pixels, (n + 1) * pixels), size, times), n * pixels);
  }
  return { ...digits, values, order, test: digits.test.filter(wanted) };
}

/** Show a network images of the data by their numbers; a short list is repeated until the batch is full. */
export function showImages(net, data, indices) {
  const { images, labels, batch } = net;
  for (let n = 0; n < batch; n++) {
    const index = indices[n % indices.length];
    labels[n] = data.labels[index];
    for (let p = 0; p < data.pixels; p++) images.data[p * batch + n] = data.values[index * data.pixels + p];
  }
}

/** Show a network one image in every place: a number, or the 64 numbers 0 … 16 of a drawn one. */
export function showOne(net, data, image) {
  if (typeof image === "number") {
    if (!(Number.isInteger(image) && image >= 0 && image < data.total)) throw new Error(`image must be a whole number from 0 to ${data.total - 1}, got ${image}`);
    return showImages(net, data, [image]);
  }
  if (image?.length !== data.pixels || !Array.from(image).every(Number.isFinite)) {
    throw new Error(`image must be a number or a list of ${data.pixels} numbers from 0 to 16, got ${image?.length ?? image} of them`);
  }
  for (let p = 0; p < data.pixels; p++) net.images.data.fill((image[p] - data.mean) / data.std, p * net.batch, (p + 1) * net.batch);
}

/** The images of a split: "test" or "train", the first `images` of them. */
export function splitOf(data, { split = "test", images = Infinity, by_class = false } = {}) {
  if (split !== "test" && split !== "train") throw new Error(`split must be "test" or "train", got ${JSON.stringify(split)}`);
  const all = split === "test" ? data.test : [...data.order].sort((a, b) => a - b);
  const some = all.slice(0, images);
  return by_class ? some.sort((a, b) => data.labels[a] - data.labels[b]) : some;
}
