// Charts of runs: errors and losses over the steps, responses over the blocks. Text stays text; colours come from
// lab.css. Our own: uPlot, the lightest kept library with logarithmic axes, takes 22 kB where these take 2, and draws
// on a canvas, where nothing can be dashed by a style sheet or found by a screen reader.

import { connections } from "./config.mjs";
import { panel } from "./controls.mjs";
import { power } from "./numbers.mjs";
import { drawn, html } from "./ui.mjs";

/** "on", "off" or "mixed": how a run is drawn in every view; `run.style` overrules its shortcuts. */
export const styleOf = (run, step) => {
  if (run.style) return run.style;
  const on = connections(run.config, step);
  return !on.some(Boolean) ? "off" : on.every(Boolean) ? "on" : "mixed";
};
export const labelOf = (run) => `${{ on: "residual", off: "plain", mixed: "mixed" }[styleOf(run)]}-${run.config.depth}`;

/** The last frame at or before `step` that holds `key`, or the first one behind it. */
export function frameAt(frames, step, key) {
  for (let index = Math.min(step, frames.length) - 1; index >= 0; index--) if (frames[index][key] !== undefined) return frames[index];
  return frames.find((frame) => frame[key] !== undefined);
}

/** Move the `at` of labels, at least `gap` apart and above `bottom`, so that none stands on another. */
export function spread(labels, bottom, gap = 13) {
  labels.sort((a, b) => a.at - b.at);
  for (let index = 1; index < labels.length; index++) labels[index].at = Math.max(labels[index].at, labels[index - 1].at + gap);
  for (let index = labels.length - 1, most = bottom; index >= 0; index--, most -= gap) labels[index].at = Math.min(labels[index].at, most);
}

const smooth = (frames, key) => { // a running mean of the noisy batches, over about ten
  let mean = null;
  return frames.map((frame) => {
    if (!Number.isFinite(frame[key])) return [frame.step, null];
    mean = mean === null ? frame[key] : mean + 0.15 * (frame[key] - mean);
    return [frame.step, mean];
  });
};
const testedOf = (run, key) => run.frames.filter((frame) => frame[key] !== undefined).map((frame) => [frame.step, frame[key]]);

export const textAt = (x, y, text, anchor = "middle") => `<text x="${x}" y="${y}" dy=".35em" text-anchor="${anchor}">${text}</text>`;
export const lineAt = (kind, x1, x2, y1, y2) => `<line class="rl-${kind}" x1="${x1}" x2="${x2}" y1="${y1}" y2="${y2}"/>`;
export const level = (left, right, y, text) => lineAt("grid", left, right, y, y) + textAt(left - 6, y, text, "end");
export const widthOf = (box) => Math.max(240, box.clientWidth);
export function put(box, width, height, marks) {
  const text = `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" aria-hidden="true">${marks}</svg>`;
  if (box.marks !== text) box.innerHTML = box.marks = text;
}

/** A box in which `draw(box)` draws; `label` says what it shows to those who cannot see it. */
export const chart = (label, draw) => html`<div class="rl-chart" role="img" aria-label=${label} ${drawn(draw)}></div>`;

/** A key: how a curve is drawn, as a small picture. */
export const sample = (style, kind, point = false) => html`<svg width="34" height="10" aria-hidden="true" class="rl-run rl-front ${style}"><path class="rl-${kind}" d="M1 5H33"/><circle cx="17" cy="5" r=${point ? 2.1 : 0}/></svg>`;
export const curveKey = html`<p class="rl-key">${sample("", "train")} training, running mean ${sample("", "test", true)} test</p>`;

/** Scales of a chart over steps: what `spec` needs, in pixels and back. */
function scales(box, spec) {
  const [width, height] = [widthOf(box), 216];
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
  return {
    width, height, left, top, w, h, x, y, path,
    step: (px) => Math.min(spec.steps, Math.max(0, Math.round(((px - left) / w) * spec.steps))),
    value: (py) => Math.min(spec.top, Math.max(0, (1 - (py - top) / h) * spec.top)),
  };
}

function axes(spec, { left, top, w, h, height, x, y }) {
  let marks = "";
  for (const tick of spec.ticks) marks += level(left, left + w, y(tick), tick);
  const jump = [10, 20, 50, 100, 200, 500, 1000].find((one) => spec.steps / one <= Math.max(2, w / 60)) ?? spec.steps;
  for (let step = 0; step <= spec.steps; step += jump) marks += textAt(x(step), top + h + 11, step);
  if (spec.chance !== null) marks += lineAt("chance", left, left + w, y(spec.chance), y(spec.chance));
  return marks + textAt(left + w / 2, height - 7, "step");
}

/** One run's curves; the one in front has points. Returns [marks, label or null]. */
function curves(run, front, spec, { x, y, path }) {
  const tested = testedOf(run, spec.test);
  const thin = run.thin ? " rl-thin" : "";
  let marks = `<g class="rl-run rl-${styleOf(run)}${front}${thin}">`;
  if (!run.thin) marks += `<path class="rl-train" d="${path(smooth(run.frames, spec.train))}"/>`;
  marks += `<path class="rl-test" d="${path(tested)}"/>`;
  if (front && !run.thin) for (const [step, value] of tested) if (Number.isFinite(value)) marks += `<circle cx="${x(step)}" cy="${y(value)}" r="2.1"/>`;
  const [step, value] = tested.filter((point) => Number.isFinite(point[1]) && point[0] <= spec.steps).at(-1) ?? [];
  return [`${marks}</g>`, step && run.label ? { at: Number(y(value)), text: run.label, front } : null];
}

/** The lowest and highest test curve of runs that differ in their seed, as an area. */
function band(runs, spec, { x, y }) {
  const all = runs.map((run) => new Map(testedOf(run, spec.test)));
  const steps = [...all[0].keys()].filter((step) => all.every((one) => Number.isFinite(one.get(step))));
  if (runs.length < 2 || steps.length < 2) return "";
  const edge = (pick) => steps.map((step) => `${x(step)} ${y(pick(...all.map((one) => one.get(step))))}`);
  return `<path class="rl-band rl-${styleOf(runs[0])}" d="M${[...edge(Math.max), ...edge(Math.min).reverse()].join("L")}Z"/>`;
}

/**
 * Draw curves into `box`. `spec`: top (of the y axis), ticks, train and test (keys of a frame), steps (of the x axis),
 * cursor, chance (value of guessing at random, or null), guess ([[step, value], …] or null), bands (lists of runs).
 * Of `runs` the last `fronts` stand in front; values above the axis run along its edge.
 */
export function drawCurves(box, runs, spec) {
  const place = scales(box, spec);
  const { left, top, w, h, x, y, path } = place;
  let marks = axes(spec, place) + (spec.bands ?? []).map((group) => band(group, spec, place)).join("");
  const labels = spec.chance === null ? [] : [{ at: Number(y(spec.chance)), text: "chance", front: "" }];
  runs.forEach((run, index) => {
    const [drawing, label] = curves(run, index >= runs.length - (spec.fronts ?? 1) ? " rl-front" : "", spec, place);
    marks += drawing;
    if (label) labels.push(label);
  });
  if (spec.guess) {
    marks += `<path class="rl-guess" d="${path(spec.guess)}"/>`;
    labels.push({ at: Number(y(spec.guess.at(-1)[1])), text: "your guess", front: "", by: 18 });
  }
  spread(labels, top + h);
  for (const { at, text, front, by = 6 } of labels) marks += `<text class="rl-label${front}" x="${left + w + by}" y="${at}" dy=".35em">${text}</text>`;
  if (spec.cursor !== null) marks += lineAt("cursor", x(spec.cursor), x(spec.cursor), top, top + h);
  put(box, place.width, place.height, marks);
  return place;
}
export const ERROR = { top: 100, ticks: [0, 20, 40, 60, 80, 100], train: "error", test: "test_error", chance: 90 };
export const LOSS = { top: 3, ticks: [0, 1, 2, 3], train: "loss", test: "test_loss", chance: Math.log(10) };

/** Charts of error and loss, side by side: `draw(box, kind)` draws with ERROR or LOSS, `over(chart)` lays something over the error. */
export const curvePanels = (words, draw, over = (box) => box) => html`<div class="rl-columns rl-curves">${panel("Error", "in percent", over(chart(`Chart of the error. ${words}`, (box) => draw(box, ERROR))))}
  ${panel("Loss", "cross-entropy in nats", chart("Chart of the loss. The figures are in the tables below.", (box) => draw(box, LOSS)))}</div>`;

/** Scales of a chart of sizes: a place a value, powers of ten. */
function logScales(box, lines, { height = 168, floor = 0, count = lines[0]?.values.length ?? 27 }) {
  const width = widthOf(box);
  const [left, right, top, bottom] = [42, lines.some(({ label }) => label) ? 92 : 10, 10, 34];
  const [w, h] = [width - left - right, height - top - bottom];
  const sizes = lines.flatMap(({ values }) => Array.from(values).filter((value) => value > floor && value < Infinity)).map(Math.log10);
  const low = Math.floor(Math.min(0, ...sizes)), high = Math.max(low + 1, Math.ceil(Math.max(0, ...sizes)));
  const y = (value) => { // what is no number stands on top, what is too small at the bottom
    const place = Number.isFinite(value) ? Math.min(high, Math.max(low, Math.log10(value))) : high;
    return (top + h - ((place - low) / (high - low)) * h).toFixed(1);
  };
  return { width, height, left, top, w, h, low, high, count, y, x: (index) => (left + ((index + 0.5) / count) * w).toFixed(1) };
}

/**
 * Draw sizes along a network on a logarithmic axis. `lines`: { values, style ("on", "off", "mixed" or ""), front, thin,
 * dotted, label }, all of one length; `axis` names the places, `options`: height, floor (what is not above it stands at
 * the bottom), first (number of the first place).
 */
export function drawSizes(box, lines, axis, options = {}) {
  const { width, height, left, top, w, h, low, high, count, x, y } = logScales(box, lines, options);
  const { first = 1 } = options;
  let marks = textAt(left + w / 2, height - 7, axis);
  for (let tick = low; tick <= high; tick += Math.ceil((high - low) / 6)) marks += level(left, left + w, y(10 ** tick), power(tick));
  const jump = [1, 2, 5, 10, 20, 50].find((one) => count / one <= Math.max(2, w / 30)) ?? 100;
  for (let place = Math.ceil(first / jump) * jump; place < first + count; place += jump) marks += textAt(x(place - first), top + h + 11, place);
  const labels = [];
  for (const { values, style, front, thin, dotted, label } of lines) {
    const points = Array.from(values, (value, index) => [x(index), y(value)]); // values may be a typed array
    const kind = `${front ? " rl-front" : ""}${thin ? " rl-thin" : ""}`;
    marks += `<g class="rl-run rl-${style}${kind}"><path class="rl-${dotted ? "guess" : "test"}" d="M${points.map((one) => one.join(" ")).join("L")}"/>`
      + (front && count <= 60 ? points.map(([px, py]) => `<circle cx="${px}" cy="${py}" r="2.6"/>`).join("") : "") + "</g>";
    if (label) labels.push({ at: Number(y(values.at(-1))), text: label, front: front ? " rl-front" : "" });
  }
  spread(labels, top + h);
  for (const { at, text, front } of labels) marks += `<text class="rl-label${front}" x="${left + w + 6}" y="${at}" dy=".35em">${text}</text>`;
  put(box, width, height, marks);
}

/** Draw the response size of every block at `step`, the run in front with points. */
export function drawResponses(box, runs, step) {
  const rows = runs.map((run) => [run, frameAt(run.frames, step, "responses")?.responses ?? []]);
  const blocks = rows.findLast(([, values]) => values.length)?.[1].length;
  const lines = rows.filter(([, values]) => values.length && values.length === blocks).map(([run, values]) => ({ values, style: styleOf(run, step) }));
  if (lines.length) lines.at(-1).front = true;
  drawSizes(box, lines, "block");
}
