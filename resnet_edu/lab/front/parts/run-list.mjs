// The runs that are drawn, as a list: which one stands in front, and which may go.

import { sample, styleOf } from "./chart.mjs";
import { button } from "./controls.mjs";
import { nameOf } from "./config.mjs";
import { count, percent } from "./numbers.mjs";
import { PLACES } from "./source-line.mjs";
import { drawn, html } from "./ui.mjs";

function ending(run) {
  const end = run.frames.findLast((frame) => frame.test_error !== undefined);
  if (run.state === "running") return run.source === "recording" ? "replaying …" : "training …";
  return end ? `${percent(end.test_error)} % test error` : count(run.frames.length);
}

/** `name` groups the radio buttons; `pick(run)` and `drop(run)` are the reader's. */
export const runList = (name, runs, front, pick, drop) => html`<ul class="rl-runs">${runs.map((run) => html`<li><label>
  <input type="radio" name=${name} ${drawn((radio) => (radio.checked = run === front))} @change=${() => pick(run)}><span class="rl-swatch">${sample(`rl-${styleOf(run)}`, "test")}</span>
  <span class="rl-run-name">${nameOf(run.config)}</span><span class="rl-soft">rate ${run.config.learning_rate}, seed ${run.config.seed}, ${run.source === "recording" ? "recording" : PLACES[run.source]}</span>
  <span class="rl-run-end">${ending(run)}</span></label>${(run.link || run.own) && run.state !== "running"
  ? button("×", () => drop(run), { small: true, title: "Remove this run", label: `Remove the run: ${nameOf(run.config)}` }) : ""}</li>`)}</ul>`;
