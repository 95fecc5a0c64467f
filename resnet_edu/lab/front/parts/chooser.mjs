// An instrument of selects: choose, and see what follows.

import { select } from "./controls.mjs";
import { html, show } from "./ui.mjs";

export const SHORTCUT = { name: "Shortcut", none: "none (plain)", A: "A: identity, zeros", B: "B: projection where needed", C: "C: all projected" };

/**
 * Mount selects for `choices` in `el`. `answer(chosen, before)` returns [summary, template]; `before` are the choices
 * before the last change, or null. `idle(chosen)` names the selects that do not matter.
 */
export function chooser(el, { title, choices, start, labels, note, idle = () => [] }, answer) {
  let [chosen, before] = [start, null];
  const pick = (name) => (value) => {
    [before, chosen] = [chosen, { ...chosen, [name]: value }];
    screen.redraw();
  };
  const field = ([name, values]) => select(labels[name]?.name ?? name, values.map((value) => [value, labels[name]?.[value] ?? String(value)]),
    chosen[name], pick(name), idle(chosen).includes(name));
  const screen = show(el, () => {
    const [summary, body] = answer(chosen, before);
    return html`<section class="rl" aria-label=${title}><p class="rl-title">${title}</p><div class="rl-settings rl-choices">${Object.entries(choices).map(field)}</div>
      <output class="rl-summary">${summary}</output><div class="rl-card">${body}</div><p class="rl-key">${note}</p></section>`;
  });
  return screen.close;
}
