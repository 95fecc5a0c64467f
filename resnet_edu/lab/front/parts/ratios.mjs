// What two things cost, side by side: a pair of bars a cost, and how many times as much.

import { say } from "./numbers.mjs";
import { html } from "./ui.mjs";

/** `rows` are [cost, value, value of the other, text of a value, a remark]; the longer bar of a pair is full. */
export const ratioBars = ([name, other], rows) => html`<p class="rl-key"><i class="rl-bar-of"></i> ${name} <i class="rl-bar-of rl-bar-other"></i> ${other}</p>
  <dl class="rl-ratios">${rows.map(([what, value, against, text, remark = ""]) => html`<div><dt>${what} <strong>× ${say(value / against)}</strong> <span class="rl-soft">${remark}</span></dt>
    ${[value, against].map((one, index) => html`<dd><i class="rl-bar-of ${index ? "rl-bar-other" : ""}" style="width:${(60 * one) / Math.max(value, against)}%"></i> ${text(one)}</dd>`)}</div>`)}</dl>`;
