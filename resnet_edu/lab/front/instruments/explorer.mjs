// Explore the gradient: singular values of blocks and of their product, while a network learns. Figures:
// resnet_edu/lab/explorer.py.

import { SHORTCUT, chooser } from "../parts/chooser.mjs";
import { logChart } from "../parts/log-chart.mjs";
import { table } from "../parts/table.mjs";
import { html } from "../parts/ui.mjs";

const START = { depth: 20, shortcut: "A", normalization: "batch", activation: "post" };
const LABELS = {
  depth: { name: "Depth", 8: "8 layers", 20: "20 layers", 56: "56 layers" }, shortcut: SHORTCUT,
  normalization: { name: "Batch norm", batch: "on", none: "off" },
  activation: { name: "Activation", post: "post-activation", pre: "pre-activation" },
};
const show = (value) => (value <= 1e-8 ? "below 1e−8" : Number(value.toPrecision(2)).toString().replace("-", "−"));
const percent = ({ kept }) => (100 * kept).toFixed(0);
const label = (step) => (step ? String(step) : "step 0");

function charts(spectra) {
  const blocks = spectra[0].largest.length;
  return html`<div class="rl-columns">${logChart("Singular values of each block", "block", spectra.flatMap(({ step, largest, middle }, index) =>
    [[middle, index, null], [largest, index, label(step)]]), [[0, 1], [1, blocks]])}
    ${logChart("Singular values of the product", "in order of size", spectra.map(({ step, product }, index) => [product, index, label(step)]),
    [[0, "largest"], [0.5, "median"], [1, "smallest"]])}</div>
    <p class="rl-key">Each line is a step of training. Solid: the largest value; dotted: the median. At 1 a gradient keeps its size.</p>
    <details><summary>The same as a table</summary><div class="rl-tables" tabindex="0" role="region" aria-label="Singular values">
    ${table("Singular values of the product of all blocks", ["Step", "Largest", "Median", "Kept, %", "Largest of a block", "Test error, %"],
    spectra.map((one) => [String(one.step), show(one.product[0]), show(one.product[5]), percent(one), show(Math.max(...one.largest)), one.test_error.toFixed(1)]), true)}</div></details>`;
}

export function mount(el, data) {
  return chooser(el, {
    title: "Explore the gradient", choices: data.choices, start: START, labels: LABELS,
    note: `Digits, width 4, learning rate ${data.training.learning_rate}, seed ${data.training.seed}; four test images, geometric means. Recorded on ${data.date} (${data.device}, torch ${data.versions.torch}): ${data.command}`,
  }, (chosen) => {
    const { spectra } = data.runs.find((run) => Object.keys(START).every((key) => run[key] === chosen[key]));
    const [first, last] = [spectra[0], spectra.at(-1)];
    const ended = last.step < data.steps.at(-1) ? ` Training diverged after step ${last.step}.` : "";
    const then = last === first ? "" : ` and ${percent(last)} % at step ${last.step}`;
    return [`The product keeps ${percent(first)} % of the directions (singular value above 0.01) at step ${first.step}${then}; the test error is ${last.test_error.toFixed(1)} %.${ended}`, charts(spectra)];
  });
}
