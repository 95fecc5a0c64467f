// A number for every block of several networks, side by side.

import { level, lineAt, put, spread, textAt, widthOf } from "./chart.mjs";

/** Test error with each block's branch out in turn: `series` of { name, style, errors, intact }. */
export function drawLesions(box, series) {
  const [width, height, left, right, top, bottom] = [widthOf(box), 200, 34, 92, 10, 34];
  const [w, h] = [width - left - right, height - top - bottom];
  const blocks = Math.max(...series.map(({ errors }) => errors.length));
  const y = (value) => (top + (1 - value / 100) * h).toFixed(1);
  let marks = [0, 20, 40, 60, 80, 100].map((tick) => level(left, left + w, y(tick), tick)).join("");
  marks += lineAt("chance", left, left + w, y(90), y(90)) + textAt(left + w / 2, height - 7, "block taken out");
  const jump = blocks > 12 ? 5 : 1;
  const x = (n, of = blocks) => (left + ((n + 0.5) / of) * w).toFixed(1);
  for (let n = jump - 1; n < blocks; n += jump) marks += textAt(x(n), top + h + 11, n + 1);
  const labels = [];
  for (const { name, style, errors, intact } of series) {
    const at = errors.map((value, n) => [x(n, errors.length), y(value)]);
    const point = ([px, py]) => (style === "on" ? `<circle cx="${px}" cy="${py}" r="3"/>` : `<rect x="${px - 3}" y="${py - 3}" width="6" height="6"/>`);
    marks += `<g class="rl-run rl-front rl-${style}"><path class="rl-test" d="M${at.map((one) => one.join(" ")).join("L")}"/><path class="rl-intact" d="M${left} ${y(intact)}H${left + w}"/>${at.map(point).join("")}</g>`;
    labels.push({ at: Number(y(errors.at(-1))), text: name.length > 13 ? `${name.slice(0, 12)}…` : name });
  }
  spread(labels, top + h);
  for (const { at, text } of labels) marks += `<text class="rl-label rl-front" x="${left + w + 6}" y="${at}" dy=".35em">${text.replace(/[<&]/g, "")}</text>`;
  put(box, width, height, marks);
}
