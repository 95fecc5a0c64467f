// Controls: native elements with their labels.

import { html, nothing, value } from "./ui.mjs";

/** `more`: main (the one big button), small, title, label, pressed, disabled, running, show. */
export function button(text, press, more = {}) {
  const kind = `${more.main ? " rl-primary" : ""}${more.small ? " rl-small" : ""}${more.running ? " rl-running" : ""}${more.show ? " rl-show" : ""}`;
  return html`<button type="button" class="rl-button${kind}" @click=${press} title=${more.title ?? nothing} aria-label=${more.label ?? nothing}
    aria-pressed=${more.pressed ?? nothing} ?disabled=${more.disabled}>${text}</button>`;
}

export const toggle = (text, on, press) => html`<button type="button" role="switch" class="rl-switch" aria-checked=${on} @click=${press}><span
  class="rl-knob" aria-hidden="true"></span>${text}<b aria-hidden="true">${on ? "on" : "off"}</b></button>`;

export const field = (label, control) => html`<label class="rl-field"><span>${label}</span>${control}</label>`;

/** `options` are [value, text, disabled]; `pick` gets the value. */
export const select = (label, options, chosen, pick, disabled = false) => field(label, html`<select ?disabled=${disabled}
  @change=${({ target }) => pick(options[target.selectedIndex][0])} ${value(String(chosen))}>
  ${options.map(([name, text, off]) => html`<option value=${name} ?disabled=${off}>${text}</option>`)}</select>`);

/** `pick` gets the text and returns null, or the rule that it breaks: then the field goes back. */
export const numberField = (label, step, now, pick, disabled = false) => field(label, html`<input type="number" inputmode="decimal" step=${step} min="0"
  ?disabled=${disabled} ${value(String(now))} @change=${({ target }) => { if (pick(target.value)) target.value = now; }}>`);

/** A slider over the steps of a run; `move` gets the step, `left` is called at its end. */
export const scrub = ({ step, last, steps, disabled, move, left }) => html`<label class="rl-scrub"><span>Step shown</span><input type="range" min="0"
  max=${steps} step="1" aria-label="Step shown" aria-valuetext="step ${step} of ${last}" ?disabled=${disabled} ${value(String(step))}
  @input=${({ target }) => move(Number(target.value))} @change=${left}><span class="rl-at">${disabled && !last ? `0 / ${steps}` : `${step} / ${steps}`}</span></label>`;

/** A slider from `low` to `high`; `words` says where it stands, `move` gets the value while it is dragged. */
export const slider = (label, { low, high, step, now, words, move, disabled = false }) => html`<label class="rl-slider"><span>${label}</span><input type="range"
  min=${low} max=${high} step=${step} aria-valuetext=${words} ?disabled=${disabled} ${value(String(now))} @input=${({ target }) => move(Number(target.value))}><b
  aria-hidden="true">${words}</b></label>`;

/** How far something has come, as a share and in words. */
export const progressBar = (share, words) => html`<span class="rl-progress"><progress max="1" .value=${Math.min(1, share || 0)} aria-label="Progress"></progress><span class="rl-soft">${words}</span></span>`;

/** A titled part of an instrument. */
export const panel = (title, sub, content, kind = "") => html`<section class="rl-panel ${kind}" aria-label=${title}>
  <p class="rl-title">${title}${sub ? html`<small>${sub}</small>` : nothing}</p>${content}</section>`;
