// Several seeds of one thing: what they have in common, and every one as a point.

import { percent } from "./numbers.mjs";
import { drawn, html } from "./ui.mjs";

/** The test error of a run's last test, in percent, or null. */
export const endError = (run) => run?.frames.findLast((frame) => frame.test_error !== undefined)?.test_error ?? null;

/** Mean, standard deviation (n - 1; not a number for one value), least and most. */
export function statistics(values) {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const sd = n > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1)) : NaN;
  return { n, mean, sd, least: Math.min(...values), most: Math.max(...values) };
}

export const geometricMean = (values) => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** "3.1 %", or "2.8 to 5.6 %". */
export function sayRange(values, unit = " %") {
  const { n, least, most } = statistics(values);
  return !n ? "–" : n === 1 ? `${percent(least)}${unit}` : `${percent(least)} to ${percent(most)}${unit}`;
}

/** "4.1 ± 0.9 % (n = 4)". */
export function sayMean(values, unit = " %") {
  const { n, mean, sd } = statistics(values);
  return `${percent(mean)}${n > 1 ? ` ± ${percent(sd)}` : ""}${unit} (n = ${n})`;
}

/** `config` with the `count` seeds that follow the first `have`. */
export const nextSeeds = (config, have, count = 3) => Array.from({ length: count }, (_, n) => ({ ...config, seed: (config.seed + have + n) % 100000 }));

/**
 * A row a group, every value a point and the mean a stroke: `groups` are { name, values, style }, style "on", "off" or
 * ""; the axis goes from `low` to `high`.
 */
export function dots(label, groups, { unit = " %", low = 0, high = 100 } = {}) {
  const draw = (box) => {
    const [left, right, row, wide] = [108, 26, 30, Math.max(240, box.clientWidth)];
    const x = (value) => (left + ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * (wide - left - right)).toFixed(1);
    const height = row * groups.length + 24;
    let marks = "";
    for (let n = 0; n <= 4; n++) {
      const value = low + (n * (high - low)) / 4;
      marks += `<line class="rl-grid" x1="${x(value)}" x2="${x(value)}" y1="4" y2="${height - 20}"/><text x="${x(value)}" y="${height - 6}" text-anchor="middle">${Number(value.toPrecision(3))}${n === 4 ? unit : ""}</text>`;
    }
    groups.forEach(({ name, values, style = "" }, index) => {
      const y = row * index + row / 2 + 2;
      marks += `<text x="0" y="${y}" dy=".35em">${name}</text><g class="rl-run rl-front rl-dots${style && ` rl-${style}`}">`;
      for (const value of values) marks += style === "off" ? `<rect x="${x(value) - 4}" y="${y - 4}" width="8" height="8"/>` : `<circle cx="${x(value)}" cy="${y}" r="4.5"/>`;
      if (values.length > 1) marks += `<path d="M${x(statistics(values).mean)} ${y - 11}v22"/>`;
      marks += "</g>";
    });
    box.innerHTML = `<svg viewBox="0 0 ${wide} ${height}" width="${wide}" height="${height}" aria-hidden="true">${marks}</svg>`;
  };
  const words = groups.map(({ name, values }) => `${name}: ${values.length ? values.map(percent).join(", ") : "none yet"}`).join("; ");
  return html`<div role="img" aria-label="${label}. ${words}." ${drawn(draw)}></div>`;
}
