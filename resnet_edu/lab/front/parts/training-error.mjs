// The training error of a run, as the chapters count it: while the weights move.

export const EPOCH = 44; // steps in which a batch of 32 sees each of the 1,437 training images once

/** Wrong answers in percent over the last epoch of a run, or over what there is of it; NaN before the first step. */
export function trainingError({ frames }) {
  const last = frames.slice(-EPOCH);
  return last.reduce((sum, { error }) => sum + error, 0) / last.length;
}
