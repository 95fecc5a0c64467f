// How long a training will take: said before a press, from what this device has shown.

// Seconds a step and layer at width 4 and batch 32, on a slow laptop; the first training here takes its place.
const LAPTOP = 9.5e-5;
let here = null;

/** Work of a run in steps times layers; a test every few steps is as much as four steps without their gradients. */
function work({ steps, depth, width, batch_size: batch, test_every: every, task, blocks = 3 }) {
  const layers = task === "stack" ? 2 * blocks : depth + 2; // the input, the head and the loss cost as much as three
  return steps * layers * (width / 4) ** 1.5 * (batch / 32) * (1 + (task === "stack" ? 0 : 4 / every));
}

/** Take in that a run of `config` makes `speed` steps a second here. */
export function measured(config, speed) {
  const found = 1 / (speed * work({ ...config, steps: 1 }));
  here = here === null ? found : here + 0.3 * (found - here);
}

/** How many Workers train at once: one core stays for the page. */
export const workersHere = () => Math.min(4, Math.max(2, (navigator.hardwareConcurrency || 2) - 1));

/** Seconds that runs of these configurations will take together. */
export function secondsFor(configs, workers = workersHere()) {
  const each = configs.map((config) => work(config) * (here ?? LAPTOP));
  return Math.max(0, ...each, each.reduce((sum, one) => sum + one, 0) / workers);
}

/** "about 4 s", "about 2 min". */
export const sayTime = (seconds) => (seconds < 90 ? `about ${Math.max(1, Math.round(seconds))} s` : `about ${Math.round(seconds / 60)} min`);
