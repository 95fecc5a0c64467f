// Drawings: pure functions from runs to SVG, canvas and tables. Text stays text; colours come from lab.css.

import { percent, power, say, spread, table } from "./elements.mjs";
import { connections } from "./state.mjs";

// viridis (matplotlib), eight of its colours.
const VIRIDIS = [[68, 1, 84], [70, 51, 127], [54, 92, 141], [39, 127, 142], [31, 161, 135], [74, 194, 109], [159, 218, 58], [253, 231, 37]];

/** The colour at `share` between 0 and 1, as [red, green, blue]. */
export function viridis(share) {
  const place = Math.min(1, Math.max(0, share)) * (VIRIDIS.length - 1);
  const [low, rest] = [Math.min(VIRIDIS.length - 2, Math.floor(place)), place % 1 || (place === VIRIDIS.length - 1 ? 1 : 0)];
  return VIRIDIS[low].map((from, index) => Math.round(from + rest * (VIRIDIS[low + 1][index] - from)));
}

/** "on", "off" or "mixed": how a run is drawn in every view. */
export const styleOf = (run, step) => {
  const on = connections(run.config, step);
  return !on.some(Boolean) ? "off" : on.every(Boolean) ? "on" : "mixed";
};

/** The last frame at or before `step` that holds `key`, or the first one behind it. */
export function frameAt(frames, step, key) {
  for (let index = Math.min(step, frames.length) - 1; index >= 0; index--) if (frames[index][key] !== undefined) return frames[index];
  return frames.find((frame) => frame[key] !== undefined);
}

const smooth = (frames, key) => { // a running mean of the noisy batches, over about ten
  let mean = null;
  return frames.map((frame) => {
    if (!Number.isFinite(frame[key])) return [frame.step, null];
    mean = mean === null ? frame[key] : mean + 0.15 * (frame[key] - mean);
    return [frame.step, mean];
  });
};

const textAt = (x, y, text, anchor = "middle") => `<text x="${x}" y="${y}" dy=".35em" text-anchor="${anchor}">${text}</text>`;
const lineAt = (kind, x1, x2, y1, y2) => `<line class="rl-${kind}" x1="${x1}" x2="${x2}" y1="${y1}" y2="${y2}"/>`;
const level = (left, right, y, text) => lineAt("grid", left, right, y, y) + textAt(left - 6, y, text, "end");
const put = (box, width, height, marks) => (box.innerHTML = `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true">${marks}</svg>`);

/**
 * Draw curves into `box`. `spec`: top (of the y axis), ticks, train and test (keys of a frame), steps (of
 * the x axis), cursor, chance (value of guessing at random), guess ([[step, value], …] or null).
 * `runs` come with the one in front last; values above the axis run along its edge.
 */
export function drawChart(box, runs, spec) {
  const [width, height] = [Math.max(240, box.clientWidth), 216];
  const [left, right, top, bottom] = [34, 92, 10, 34];
  const [w, h] = [width - left - right, height - top - bottom];
  const x = (step) => (left + (step / spec.steps) * w).toFixed(1);
  const y = (value) => (top + h - (Math.min(value, spec.top) / spec.top) * h).toFixed(1);
  const path = (points) => {
    let [text, pen] = ["", "M"];
    for (const [step, value] of points) {
      if (!Number.isFinite(value) || step > spec.steps) pen = "M";
      else {
        text += `${pen}${x(step)} ${y(value)}`;
        pen = "L";
      }
    }
    return text;
  };
  let marks = "";
  for (const tick of spec.ticks) {
    marks += level(left, left + w, y(tick), tick);
  }
  const jump = [10, 20, 50, 100, 200, 500, 1000].find((one) => spec.steps / one <= Math.max(2, w / 60)) ?? 1000;
  for (let step = 0; step <= spec.steps; step += jump) {
    marks += textAt(x(step), top + h + 11, step);
  }
  const chance = y(spec.chance);
  marks += textAt(left + w / 2, height - 7, "step") + lineAt("chance", left, left + w, chance, chance);
  const labels = [];
  runs.forEach((run, index) => {
    const front = index === runs.length - 1 ? " rl-front" : "";
    const tested = run.frames.filter((frame) => frame[spec.test] !== undefined).map((frame) => [frame.step, frame[spec.test]]);
    marks += `<g class="rl-run rl-${styleOf(run)}${front}"><path class="rl-train" d="${path(smooth(run.frames, spec.train))}"/>`
      + `<path class="rl-test" d="${path(tested)}"/>`;
    if (front) for (const [step, value] of tested) if (Number.isFinite(value)) marks += `<circle cx="${x(step)}" cy="${y(value)}" r="2.1"/>`;
    marks += "</g>";
    const [step, value] = tested.filter((point) => Number.isFinite(point[1]) && point[0] <= spec.steps).at(-1) ?? [];
    if (step && run.label) labels.push({ at: Number(y(value)), text: run.label, front, end: x(step) });
  });
  if (spec.guess) {
    marks += `<path class="rl-guess" d="${path(spec.guess)}"/>`;
    labels.push({ at: Number(y(spec.guess.at(-1)[1])), text: "your guess", front: "", by: 18 });
  }
  labels.push({ at: Number(chance), text: "chance", front: "" });
  spread(labels, top + h);
  for (const label of labels) {
    marks += `<text class="rl-label${label.front}" x="${left + w + (label.by ?? 6)}" y="${label.at}" dy=".35em">${label.text}</text>`;
  }
  if (spec.cursor !== null) marks += lineAt("cursor", x(spec.cursor), x(spec.cursor), top, top + h);
  put(box, width, height, marks);
  return { // for the pointer
    step: (px) => Math.min(spec.steps, Math.max(0, Math.round(((px - left) / w) * spec.steps))),
    value: (py) => Math.min(spec.top, Math.max(0, (1 - (py - top) / h) * spec.top)),
    x, y,
  };
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

/** Paint gradient norms, a column a step and a row a layer (the input's on top). */
export function drawStrip(canvas, run, steps, scale) {
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

/** Draw the response size of every block at `step`, the run in front with points. */
export function drawResponses(box, runs, step) {
  const [width, height] = [Math.max(240, box.clientWidth), 168];
  const [left, right, top, bottom] = [38, 10, 10, 34];
  const [w, h] = [width - left - right, height - top - bottom];
  const rows = runs.map((run) => [run, frameAt(run.frames, step, "responses")?.responses ?? []]).filter(([, values]) => values.length);
  const front = rows.at(-1)?.[1] ?? [];
  const sizes = rows.flatMap(([, values]) => values.filter((value) => value > 0 && value < Infinity)).map(Math.log10);
  const low = Math.floor(Math.min(0, ...sizes)), high = Math.max(low + 1, Math.ceil(Math.max(0, ...sizes)));
  const blocks = front.length || 27;
  const x = (index) => (left + ((index + 0.5) / blocks) * w).toFixed(1);
  const y = (value) => { // what is no number stands on top
    const place = Number.isFinite(value) ? Math.min(high, Math.max(low, Math.log10(value))) : high;
    return (top + h - ((place - low) / (high - low)) * h).toFixed(1);
  };
  let marks = "";
  for (let tick = low; tick <= high; tick += Math.ceil((high - low) / 6)) {
    marks += level(left, left + w, y(10 ** tick), power(tick));
  }
  const jump = blocks > 30 ? 10 : blocks > 12 ? 5 : 1;
  for (let block = jump === 1 ? 1 : 0; block <= blocks; block += jump) {
    if (block) marks += textAt(x(block - 1), top + h + 11, block);
  }
  marks += textAt(left + w / 2, height - 7, "block");
  rows.filter(([, values]) => values.length === blocks).forEach(([run, values], index, all) => {
    const isFront = index === all.length - 1;
    const points = values.map((value, block) => [x(block), y(value)]);
    marks += `<g class="rl-run rl-${styleOf(run, step)}${isFront ? " rl-front" : ""}"><path class="rl-test" d="M${points.map((one) => one.join(" ")).join("L")}"/>`
      + (isFront ? points.map(([px, py]) => `<circle cx="${px}" cy="${py}" r="2.6"/>`).join("") : "") + "</g>";
  });
  put(box, width, height, marks);
}

/** The figures of the charts, and of every block at `step`, as two tables. */
export function tables(run, name, step) {
  const frames = run.frames.filter((frame, index) => frame.test_loss !== undefined || index === run.frames.length - 1 || frame.step === 1);
  const sizes = frameAt(run.frames, step, "norms");
  const on = connections(run.config, step);
  const spread = (frame) => frameAt(run.frames, frame.step, "norms")?.norms ?? [];
  return [
    table(`${name}: training and test, losses in nats, errors in percent`,
      ["Step", "Training loss", "Training error", "Test loss", "Test error", "Smallest gradient norm", "Largest"],
      frames.map((frame) => [frame.step, say(frame.loss), percent(frame.error), say(frame.test_loss), percent(frame.test_error),
        say(Math.min(...spread(frame))), say(Math.max(...spread(frame)))])),
    table(`${name}: blocks at step ${sizes?.step ?? 0}`,
      ["Block", "Shortcut", "Gradient norm, first layer", "Second layer", "Response size"],
      on.map((connected, block) => [block + 1, connected ? "on" : "cut", say(sizes?.norms[2 * block + 1]), say(sizes?.norms[2 * block + 2]),
        say(frameAt(run.frames, step, "responses")?.responses[block])])),
  ];
}
