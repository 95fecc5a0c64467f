// The network, drawn: a button a block, that cuts or restores its shortcut; coloured by the gradient's size.

import { frameAt } from "./chart.mjs";
import { say } from "./numbers.mjs";
import { shareOf, viridis } from "./strip.mjs";
import { html } from "./ui.mjs";

/** Gradient norm of the second convolution's weights divided by the last one's, from the norms of all layers: as the chapters' tables. */
export const ratioOf = (norms) => norms[1] / norms.at(-2);

const LABEL = "Shortcuts, block by block; arrow keys move from block to block";

/** Move the focus with the arrow keys; only the block in focus is reached with Tab. */
function move(event) {
  const all = [...event.currentTarget.querySelectorAll(".rl-block")];
  const from = all.indexOf(document.activeElement);
  const to = { ArrowRight: from + 1, ArrowLeft: from - 1, ArrowDown: from + 1, ArrowUp: from - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  focus(all, to);
  all[to].focus();
}
const focus = (all, chosen) => all.forEach((one, index) => (one.tabIndex = index === chosen ? 0 : -1));

/** Blocks of `config`: `on` says which are connected, `norms` (or null) colours them on `scale`; `press(index)`. */
export function network(config, on, norms, scale, press) {
  const each = on.length / 3;
  const block = (index) => {
    const size = norms ? Math.hypot(norms[2 * index + 1], norms[2 * index + 2]) : NaN;
    const known = Number.isFinite(size);
    const projected = config.shortcut === "C" || (config.shortcut === "B" && index && index % each === 0);
    return html`<button type="button" role="switch" class="rl-block ${projected ? "rl-projected" : ""}" tabindex=${index ? "-1" : "0"} aria-checked=${on[index]}
      aria-label="Shortcut of block ${index + 1}" title="Block ${index + 1}: shortcut ${on[index] ? "on" : "cut"}${known ? `, gradient norm ${say(size)}` : ""}"
      @click=${({ currentTarget }) => {
    focus([...currentTarget.closest(".rl-network").querySelectorAll(".rl-block")], index);
    press(index);
  }}><svg viewBox="0 0 30 16" preserveAspectRatio="none" aria-hidden="true"><path class="rl-arc" d="M1 16V9Q1 3 7 3H23Q29 3 29 9V16"/><path
      class="rl-cut" d="M1 16V9Q1 3 7 3H9M21 3H23Q29 3 29 9V16"/></svg><span style=${known ? `background:rgb(${viridis(shareOf(size, scale))})` : ""}></span></button>`;
  };
  const stages = [0, 1, 2].map((stage) => html`<div class="rl-stage"><div class="rl-row">${Array.from({ length: each }, (_, n) => block(stage * each + n))}</div>
    <small>${config.width << stage} channels, ${8 >> stage}×${8 >> stage}</small></div>`);
  return html`<div class="rl-network" role="group" aria-label=${LABEL} @keydown=${move} style="--blocks:${each > 9 ? each / 2 : each}">
    <div class="rl-end">input</div>${stages}<div class="rl-end">output</div></div>`;
}

/** The gradient norms of `run` at `step`, or null. */
export const normsAt = (run, step) => (run && step ? frameAt(run.frames, step, "norms")?.norms ?? null : null);
