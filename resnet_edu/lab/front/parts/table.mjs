// Figures as tables: for screen readers, and for whoever wants the numbers.

import { frameAt } from "./chart.mjs";
import { connections } from "./config.mjs";
import { percent, say } from "./numbers.mjs";
import { html } from "./ui.mjs";

/** A table with a caption (`hidden`: for screen readers alone) and header cells. */
export const table = (caption, head, rows, hidden = false) => html`<table><caption class=${hidden ? "rl-hidden" : ""}>${caption}</caption>
  <thead><tr>${head.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
  <tbody>${rows.map(([first, ...rest]) => html`<tr><th scope="row">${first}</th>${rest.map((text) => html`<td>${text}</td>`)}</tr>`)}</tbody></table>`;

/** Tables that can be scrolled, behind a summary; `fill` makes them when it is opened. */
export const folded = (summary, open, toggled, fill) => html`<details ?open=${open} @toggle=${({ target }) => toggled(target.open)}><summary>${summary}</summary>
  <div class="rl-tables" tabindex="0" role="region" aria-label=${summary}>${open ? fill() : ""}</div></details>`;

/** The test errors of runs, a column each; `labelOf(run)` heads it. */
export function errorTable(runs, labelOf) {
  const steps = [...new Set(runs.flatMap(({ frames }) => frames.filter((frame) => frame.test_error !== undefined).map((frame) => frame.step)))].sort((a, b) => a - b);
  const cell = (run, step) => percent(run.frames[step - 1]?.test_error ?? NaN);
  return runs.length ? table("Test error in percent", ["Step", ...runs.map((run) => `${labelOf(run)}, seed ${run.config.seed}`)],
    steps.map((step) => [step, ...runs.map((run) => cell(run, step))])) : html`<p>Nothing trained yet.</p>`;
}

/** The figures of the charts, and of every block at `step`, as two tables. */
export function runTables(run, name, step) {
  const frames = run.frames.filter((frame, index) => frame.test_loss !== undefined || index === run.frames.length - 1 || frame.step === 1);
  const sizes = frameAt(run.frames, step, "norms");
  const norms = (frame) => frameAt(run.frames, frame.step, "norms")?.norms ?? [];
  return [
    table(`${name}: training and test, losses in nats, errors in percent`,
      ["Step", "Training loss", "Training error", "Test loss", "Test error", "Smallest gradient norm", "Largest"],
      frames.map((frame) => [frame.step, say(frame.loss), percent(frame.error), say(frame.test_loss), percent(frame.test_error),
        say(Math.min(...norms(frame))), say(Math.max(...norms(frame)))])),
    table(`${name}: blocks at step ${sizes?.step ?? 0}`,
      ["Block", "Shortcut", "Gradient norm, first layer", "Second layer", "Response size"],
      connections(run.config, step).map((connected, block) => [block + 1, connected ? "on" : "cut", say(sizes?.norms[2 * block + 1]), say(sizes?.norms[2 * block + 2]),
        say(frameAt(run.frames, step, "responses")?.responses[block])])),
  ];
}
