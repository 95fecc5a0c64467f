// A strip of colours: gradient norms, a column a step and a row a layer, and the scale that all views share.

import { frameAt } from "./chart.mjs";
import { panel } from "./controls.mjs";
import { power, say } from "./numbers.mjs";
import { drawn, html } from "./ui.mjs";

// viridis (matplotlib), eight of its colours.
const VIRIDIS = [[68, 1, 84], [70, 51, 127], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 194, 109], [159, 218, 58], [253, 231, 37]];

/** The colour at `share` between 0 and 1, as [red, green, blue]. */
export function viridis(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const [low, rest] = [Math.min(VIRIDIS.length - 2, Math.floor(place)), place % 1 || (place === VIRIDIS.length - 1 ? 1 : 0)];
  return VIRIDIS[low].map((from, index) => Math.round(from + rest * (VIRIDIS[low + 1][index] - from)));
}

/** Lowest and highest decade of the gradient norms of `runs`, outliers apart: one scale for all views. */
export function decades(runs) {
  const norms = runs.flatMap(({ frames }) => frames.flatMap((frame) => (frame.step % 5 === 1 && frame.norms) || []));
  const sorted = Float64Array.from(norms.filter((norm) => norm > 0 && norm < Infinity)).sort();
  if (!sorted.length) return [-3, 0];
  const at = (share) => Math.log10(sorted[Math.floor(share * (sorted.length - 1))]);
  const low = Math.floor(at(0.01));
  return [low, Math.max(low + 1, Math.ceil(at(0.99)))];
}
export const shareOf = (norm, [low, high]) => (norm > 0 ? (Math.log10(norm) - low) / (high - low) : 0);

/** The scale of `what` in words and colours. */
export function colourScale(what, [low, high]) {
  const ticks = Array.from({ length: high - low + 1 }, (_, n) => power(low + n));
  const colours = Array.from({ length: 9 }, (_, n) => `rgb(${viridis(n / 8)})`).join(",");
  return html`<div class="rl-legend"><span>${what}</span><div class="rl-ramp" style="background:linear-gradient(90deg,${colours})"></div>
    <div class="rl-ticks">${ticks.map((tick) => html`<span>${tick}</span>`)}</div></div>`;
}

function drawStrip(canvas, run, steps, scale) {
  const layers = run?.frames.find(({ norms }) => norms)?.norms.length ?? 1;
  canvas.width = steps, canvas.height = layers;
  const context = canvas.getContext("2d");
  const image = context.createImageData(steps, layers);
  const pixels = new Uint32Array(image.data.buffer);
  const colours = Array.from({ length: 256 }, (_, n) => viridis(n / 255)).map(([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r);
  let norms = null;
  for (let step = 1; run && step <= Math.min(steps, run.frames.length); step++) {
    norms = run.frames[step - 1].norms ?? norms; // a sampled column holds until the next
    for (let layer = 0; norms && layer < layers; layer++) {
      pixels[layer * steps + step - 1] = colours[Math.round(255 * Math.min(1, Math.max(0, shareOf(norms[layer], scale))))];
    }
  }
  context.putImageData(image, 0, 0);
}

/** The gradient norms of `run` (or null) as a panel, with a line at `step` and the extremes there in words. */
export function stripPanel(run, step, steps, scale) {
  const norms = run && step ? frameAt(run.frames, step, "norms")?.norms : null;
  const layer = (value) => norms.indexOf(value) + 1;
  const [least, most] = norms ? [Math.min(...norms), Math.max(...norms)] : [];
  const words = !norms ? "No gradient yet." : norms.every(Number.isFinite)
    ? `At step ${step}: smallest ${say(least)} in layer ${layer(least)}, largest ${say(most)} in layer ${layer(most)}.`
    : `At step ${step} the gradient is not a number.`;
  return panel("Gradient norm per layer", "of the weights, over time", html`<div class="rl-strip">
      <span class="rl-strip-top">input</span><span class="rl-strip-bottom">output</span>
      <div class="rl-strip-box"><canvas role="img" aria-label="Gradient norms of ${norms?.length ?? 0} layers. ${words}" ${drawn((canvas) => drawStrip(canvas, run, steps, scale))}></canvas>
        <div class="rl-strip-line" style="left:${(100 * step) / steps}%" ?hidden=${!step || !run}></div></div></div>
    ${colourScale("gradient norm", scale)}<p class="rl-key">${words}</p>`);
}
