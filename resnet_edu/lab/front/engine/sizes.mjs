// How large numbers are: norms, mean squares, standard deviations.

/** Mean and mean square of numbers. */
export function moments(numbers) {
  let [sum, squares] = [0, 0];
  for (let n = 0; n < numbers.length; n++) {
    sum += numbers[n];
    squares += numbers[n] * numbers[n];
  }
  return { mean: sum / numbers.length, square: squares / numbers.length };
}

export const norm = (numbers) => Math.sqrt(moments(numbers).square * numbers.length);
export const size = (numbers, factor = 1) => Math.abs(factor) * Math.sqrt(moments(numbers).square);

/** Standard deviation of a layer's response: its output behind its own normalisation, before ReLU or addition. */
export function responseOf({ data, channels, normalised }) {
  const plane = data.length / channels;
  let [mean, square] = [0, 0];
  for (let c = 0; c < channels; c++) {
    const part = moments(data.subarray(c * plane, (c + 1) * plane));
    const [factor, offset] = normalised ? [normalised.scale.data[c], normalised.bias.data[c] - normalised.mean.data[c] * normalised.scale.data[c]] : [1, 0];
    const average = factor * part.mean + offset;
    mean += average / channels;
    square += (factor * factor * Math.max(0, part.square - part.mean * part.mean) + average * average) / channels;
  }
  return Math.sqrt(Math.max(0, square - mean * mean));
}
