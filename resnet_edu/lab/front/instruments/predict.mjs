// Predict: a guess before the chapter measures, and further down the chapter's own numbers beside it, with a question.

import { entry, keep, listen, trouble } from "../parts/answers.mjs";
import { Ask } from "../parts/ask.mjs";
import { button } from "../parts/controls.mjs";
import { Messages } from "../parts/messages.mjs";
import { rich, wordsOf } from "../parts/rich.mjs";
import { html, nothing, show, value } from "../parts/ui.mjs";

const SLIDE = 1000; // places of a slider on a logarithmic scale
const raised = (exponent) => String(exponent).replace(/./g, (sign) => (sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]));

/** Three digits, as a person would write them: 0.61, 20.7, 1.8·10⁻⁶. */
function plain(number) {
  if (!Number.isFinite(number)) return "–";
  const exponent = number ? Math.floor(Math.log10(Math.abs(number))) : 0;
  const [most, part] = exponent < -3 || exponent > 6 ? [`·10${raised(exponent)}`, number / 10 ** exponent] : ["", number];
  return `${Number(part.toPrecision(3)).toLocaleString("en-US", { maximumSignificantDigits: 3 })}${most}`.replace("-", "−");
}

const withUnit = (one, unit) => (typeof one === "number" ? `${plain(one)} ${unit}`.trim() : one ?? "–");

/** How an item's values lie on a line from 0 to 1. */
function scaleOf({ min, max, step }, kind) {
  if (kind !== "log") {
    const round = (number) => Number((min + Math.round((number - min) / step) * step).toPrecision(12));
    return { share: (number) => (number - min) / (max - min), at: (share) => round(min + share * (max - min)) };
  }
  const span = Math.log(max / min);
  return { share: (number) => Math.log(Math.max(number, min / 1e6) / min) / span, at: (share) => Number((min * Math.exp(share * span)).toPrecision(2)) };
}

/** The distance of a guess in words. */
function distance(guess, measured, { scale, unit }) {
  if (guess === null || guess === undefined) return "no guess";
  if (measured === null) return "not measured";
  if (typeof measured === "string") return guess === measured ? "as measured" : "not as measured";
  if (scale === "log" && measured > 0 && guess > 0) {
    const ratio = guess / measured;
    const times = ratio > 1 ? ratio : 1 / ratio;
    return times < 1.1 ? "within a tenth" : `${plain(Number(times.toPrecision(2)))} times too ${ratio > 1 ? "high" : "low"}`;
  }
  const off = Number(Math.abs(guess - measured).toPrecision(2));
  return off < 1e-9 ? "exact" : `${plain(off)}${unit === "%" ? " points" : unit ? ` ${unit}` : ""} too ${guess > measured ? "high" : "low"}`;
}

/** The question: sliders, numbers or words, until the reader commits or skips. */
class Guess {
  constructor(data, tools, redraw) {
    const before = entry(data.ask);
    const given = tools.given && Object.keys(tools.given).length ? tools.given : before?.values;
    Object.assign(this, { data, tools, redraw, values: {}, skipped: Boolean(before?.skipped), committed: Boolean(given), messages: new Messages(redraw) });
    for (const { key, start } of data.items) this.values[key] = given?.[key] ?? start ?? null;
    if (given && tools.commit) tools.commit(given); // a kernel that was restarted
  }

  set(key, given) {
    this.values[key] = given;
    this.redraw();
  }

  commit() {
    const done = (this.committed = !this.committed);
    this.skipped = false;
    if (!done) return this.redraw();
    keep(this.data.ask, { values: { ...this.values }, skipped: false });
    this.tools.commit?.({ ...this.values });
    return this.messages.announce("Your guess is kept. The measured numbers stand beside it further down.");
  }

  skip() {
    this.skipped = true;
    keep(this.data.ask, { values: null, skipped: true });
    this.messages.announce("Skipped. The measured numbers stand further down.");
  }

  number(item) {
    const { share, at } = scaleOf(item, this.data.scale);
    const [name, now, unit] = [wordsOf(item.label), this.values[item.key], this.data.unit];
    const log = this.data.scale === "log";
    const typed = ({ target }) => {
      const given = target.value.trim() === "" ? NaN : Number(target.value);
      if (Number.isFinite(given)) this.set(item.key, given);
      else target.value = now;
    };
    return html`<div class="rl-guess-item" role="group" aria-label=${name}><span>${rich(item.label)}</span>
      <input type="range" min="0" max=${log ? SLIDE : Math.round((item.max - item.min) / item.step)} step="1" aria-label=${name} aria-valuetext="${withUnit(now, unit)}" ?disabled=${this.committed}
        ${value(String(Math.round(Math.min(1, Math.max(0, share(now))) * (log ? SLIDE : (item.max - item.min) / item.step))))}
        @input=${({ target }) => this.set(item.key, at(Number(target.value) / Number(target.max)))}>
      <label class="rl-number"><input type="number" step="any" inputmode="decimal" aria-label="${name}, as a number" ?disabled=${this.committed} ${value(String(now))} @change=${typed}><span>${unit}</span></label></div>`;
  }

  words(item) {
    return html`<fieldset class="rl-guess-item"><legend>${rich(item.label)}</legend><div class="rl-words">${item.choices.map((word) => html`<label class="rl-option"><input type="radio"
      name="${this.data.id}-${item.key}" .checked=${this.values[item.key] === word} ?disabled=${this.committed} @change=${() => this.set(item.key, word)}><span>${word}</span></label>`)}</div></fieldset>`;
  }

  view() {
    const { data, committed, skipped } = this;
    const further = this.tools.address && document.getElementById(data.further);
    return html`<section class="rl rl-questions" aria-label="Your guess"><p class="rl-asked">${rich(data.text)}</p>
      ${data.items.map((item) => (item.choices ? this.words(item) : this.number(item)))}
      <div class="rl-bar">${button(committed ? "Guess again" : "This is my guess", () => this.commit(), { main: !committed })}
        <span ?hidden=${committed || skipped}>${button("Skip", () => this.skip())}</span></div>
      <p class="rl-key">${committed ? "Kept. " : skipped ? "Skipped; you can still guess. " : ""}${committed || skipped
        ? html`The measured numbers stand ${further ? html`<a href="#${data.further}">further down</a>` : "further down"}${committed ? ", beside your guess" : ""}. ` : nothing}${trouble() || "What you enter stays on this device."}</p>
      ${this.messages.live()}</section>`;
  }
}

/** A line from the item's least to its most, with the guess (a ring) and what was measured (a disc). */
function track(item, guess, measured, kind) {
  const { share } = scaleOf(item, kind);
  const at = (one) => `left:${(100 * Math.min(1, Math.max(0, share(one)))).toFixed(1)}%`;
  const has = typeof guess === "number";
  const ends = has && measured !== null ? [share(guess), share(measured)].map((one) => 100 * Math.min(1, Math.max(0, one))).sort((a, b) => a - b) : null;
  return html`<div class="rl-track">${ends ? html`<i class="rl-way" style="left:${ends[0].toFixed(1)}%;width:${(ends[1] - ends[0]).toFixed(1)}%"></i>` : nothing}
    ${has ? html`<i class="rl-mine" style=${at(guess)}></i>` : nothing}${measured === null ? nothing : html`<i class="rl-true" style=${at(measured)}></i>`}</div>`;
}

function compared(data, guess) {
  const row = (item) => {
    const [mine, found] = [guess?.[item.key], data.measured[item.key]];
    const line = item.choices ? nothing : html`<tr aria-hidden="true"><td colspan="4">${track(item, mine, found, data.scale)}</td></tr>`;
    return html`<tr class=${item.choices ? "" : "rl-lined"}><th scope="row">${rich(item.label)}</th><td>${withUnit(mine, data.unit)}</td>
      <td><b>${withUnit(found, data.unit)}</b></td><td>${distance(mine, found, data)}</td></tr>${line}`;
  };
  return html`<table class="rl-compared"><caption>Your guess <i class="rl-mine" aria-hidden="true"></i> and what was measured <i class="rl-true" aria-hidden="true"></i></caption>
    <thead><tr><th scope="col">asked</th><th scope="col">guess</th><th scope="col">measured</th><th scope="col">distance</th></tr></thead>
    <tbody>${data.items.map(row)}</tbody></table>`;
}

function mountMeasured(el, data, tools) {
  let screen = null;
  const redraw = () => screen?.redraw();
  const messages = new Messages(redraw);
  const why = { id: `${data.question}-why`, version: data.version, text: "Where your guess was off: why the gap?", options: data.reasons, any: true };
  const ask = new Ask(why, redraw, (text) => messages.announce(text));
  screen = show(el, () => {
    const guess = entry(data.ask)?.values ?? data.guess; // a kernel's, where this output keeps no storage of its own
    const asked = tools.address && document.getElementById(data.asked);
    return html`<section class="rl rl-questions" aria-label="Your guess and what was measured">${compared(data, guess)}
      <p class="rl-key" ?hidden=${guess}>You made no guess${asked ? html`: <a href="#${data.asked}">it is not too late</a>` : nothing}.</p>${ask.view()}
      <p class="rl-key">${trouble()}</p>${messages.live()}</section>`;
  });
  const quiet = listen(redraw);
  return () => {
    quiet();
    screen.close();
  };
}

export function mount(el, data, tools) {
  const chapter = data.chapter;
  const full = { ...data, ask: { id: data.question, version: data.version }, further: `measured-${chapter}`, asked: `predict-${chapter}` };
  if (data.measured) return mountMeasured(el, full, tools);
  let screen = null;
  const guess = new Guess(full, tools, () => screen?.redraw());
  screen = show(el, () => guess.view());
  return screen.close;
}
