// Curves on a logarithmic axis, with a direct label at the end of each.

import { spread } from "./chart.mjs";
import { panel } from "./controls.mjs";
import { power } from "./numbers.mjs";
import { drawn, html } from "./ui.mjs";

const [WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP] = [303, 230, 40, 72, 34, 10];
const [END, BASE] = [WIDTH - RIGHT, HEIGHT - BOTTOM];
const FLOOR = 1e-8; // what is smaller is drawn there

const across = (kind, at) => `<line class="rl-${kind}" x1="${LEFT}" x2="${END}" y1="${at}" y2="${at}"/>`;
const x = (part) => (LEFT + part * (END - LEFT)).toFixed(1);

function marksOf(xLabel, curves, ticks) {
  const values = curves.flatMap(([numbers]) => numbers);
  const low = Math.floor(Math.log10(Math.max(FLOOR, Math.min(...values))));
  const high = Math.ceil(Math.log10(Math.max(...values, 1.1)));
  const y = (value) => Number((BASE - ((Math.log10(Math.max(value, FLOOR)) - low) / (high - low)) * (BASE - TOP)).toFixed(1));
  let marks = "";
  for (let decade = low; decade <= high; decade += Math.ceil((high - low) / 6)) {
    const at = y(10 ** decade);
    marks += `${across("grid", at)}<text x="${LEFT - 5}" y="${at}" dy=".35em" text-anchor="end">${power(decade)}</text>`;
  }
  marks += across("cursor", y(1));
  const anchor = (part) => (part === 1 ? "end" : part === 0 ? "start" : "middle");
  for (const [part, text] of ticks) marks += `<text x="${x(part)}" y="${BASE + 15}" text-anchor="${anchor(part)}">${text}</text>`;
  marks += `<text x="${(LEFT + END) / 2}" y="${HEIGHT - 3}" text-anchor="middle">${xLabel}</text>`;
  const labels = [];
  for (const [numbers, moment, label, thin] of curves) {
    const points = numbers.map((value, index) => `${index ? "L" : "M"}${x(index / Math.max(1, numbers.length - 1))} ${y(value)}`).join("");
    marks += moment === "on" || moment === "off" ? `<g class="rl-run rl-front rl-${moment}${thin ? " rl-thin" : ""}"><path class="rl-test" d="${points}"/></g>`
      : `<path class="rl-moment rl-moment-${moment}${label ? "" : " rl-median"}" d="${points}"/>`;
    if (label) labels.push({ from: y(numbers.at(-1)), at: y(numbers.at(-1)), label, moment });
  }
  spread(labels, BASE);
  for (const { from, at, label, moment } of labels) {
    marks += `<path class="rl-lead rl-moment-${moment}" d="M${END} ${from}L${END + 12} ${at}"/><text class="rl-label" x="${END + 15}" y="${at}" dy=".35em">${label}</text>`;
  }
  return marks;
}

/**
 * A panel with `curves`, each [values, number of the moment (a colour), label or null (then dotted)], or [values, "on" or
 * "off", label or null, thin] for runs with and without shortcuts; `ticks` are [place between 0 and 1, text]. A thin line leads from the end of a curve to its label.
 */
export const logChart = (title, xLabel, curves, ticks) => panel(title, "", html`<div ${drawn((box) => {
  box.innerHTML = `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="100%" aria-hidden="true">${marksOf(xLabel, curves, ticks)}</svg>`;
})}></div>`);
