// One question with options or a number: answer, see why, try again. The answer is kept (answers.mjs).

import { answered, entry, isDue } from "./answers.mjs";
import { button } from "./controls.mjs";
import { dayOf } from "./numbers.mjs";
import { rich, wordsOf } from "./rich.mjs";
import { html, nothing, value } from "./ui.mjs";

const WORDS = { right: "Right.", wrong: "Not yet.", holds: "It holds.", fails: "It does not hold." };
const number = (text) => Number(text.trim().replaceAll(",", "").replace("−", "-").replace("×10^", "e"));
const dated = (date) => (Date.parse(date) ? dayOf(date) : "");

export class Ask {
  /**
   * `question`: as asking.py makes it; with `any`, one right option of several is enough, and reasons are judged, not
   * answers. `changed` draws again, `say` announces.
   */
  constructor(question, changed, say) {
    Object.assign(this, { question, changed, say, chosen: new Set(), typed: "", verdict: null, done: false });
    const before = entry(question);
    if (before && !isDue(before)) this.recollect(before);
  }

  recollect({ given, right, shown }) {
    this.done = right || shown;
    if (Array.isArray(given)) this.chosen = new Set(given);
    else if (typeof given === "number") this.typed = String(given);
    if (given !== undefined && given !== null) this.verdict = this.judge();
  }

  get several() {
    return !this.question.any && this.question.options.filter(({ right }) => right).length > 1;
  }

  /** { right, why } for what is chosen or typed; null if nothing is. */
  judge() {
    return this.question.options ? this.judgeOptions() : this.judgeNumber();
  }

  judgeOptions() {
    const { options } = this.question;
    const taken = options.filter(({ key }) => this.chosen.has(key));
    if (!taken.length) return null;
    const wrong = taken.filter(({ right }) => !right);
    if (wrong.length) return { right: false, why: wrong.map(({ why }) => why).join(" ") };
    const missing = this.several && taken.length < options.filter(({ right }) => right).length;
    return missing ? { right: false, why: "What you marked holds, and there is more to mark." } : { right: true, why: taken.map(({ why }) => why).join(" ") };
  }

  judgeNumber() {
    const { number: wanted, tolerance, ratio, near } = this.question;
    const given = number(this.typed);
    if (!this.typed.trim() || !Number.isFinite(given)) return null;
    const slack = 1e-9 * Math.abs(wanted);
    const factor = given / wanted;
    if (ratio ? factor <= ratio * (1 + 1e-9) && factor >= (1 - 1e-9) / ratio : Math.abs(given - wanted) <= tolerance + slack) return { right: true, why: "" };
    const known = near.find(([one]) => Math.abs(given - one) <= 0.01 * Math.abs(one));
    return { right: false, why: known ? known[1] : given > wanted ? "Your number is too large." : "Your number is too small." };
  }

  check() {
    const verdict = this.judge();
    this.verdict = verdict ?? { right: null, why: this.question.options ? "Choose an answer first." : "Type a number first, such as 12 or 0.5." };
    this.done = verdict?.right ?? false;
    if (this.question.any && verdict) this.done = true;
    if (verdict) this.keep(verdict.right);
    this.say(`${this.heading()} ${wordsOf(this.verdict.why)} ${this.done && !this.question.any ? wordsOf(this.question.answer) : ""}`.trim());
  }

  reveal() {
    this.done = true;
    this.verdict = null;
    this.keep(false, true);
    this.say(`The answer: ${wordsOf(this.question.answer)}`);
  }

  keep(right, shown = false) {
    const { options, numbers } = this.question;
    const given = shown ? null : options ? [...this.chosen] : number(this.typed);
    answered(this.question, { right, shown, given, ...(numbers && { numbers }) });
    this.changed();
  }

  again() {
    Object.assign(this, { chosen: new Set(), typed: "", verdict: null, done: false });
    this.changed();
  }

  heading() {
    const { right } = this.verdict;
    if (right === null) return "";
    return this.question.any ? WORDS[right ? "holds" : "fails"] : WORDS[right ? "right" : "wrong"];
  }

  pick(key, on) {
    if (!this.several) this.chosen.clear();
    if (on) this.chosen.add(key);
    else this.chosen.delete(key);
    this.verdict = null;
    this.say(""); // the same verdict twice is two announcements
  }

  option({ key, text, right, why }) {
    const told = this.done && !this.question.any;
    const kind = told ? (right ? " rl-right" : " rl-wrong") : "";
    return html`<label class="rl-option${kind}"><input type=${this.several ? "checkbox" : "radio"} name="${this.question.id}" .checked=${this.chosen.has(key)}
      ?disabled=${told} @change=${({ target }) => this.pick(key, target.checked)}><span>${told ? html`<b>${right ? "✓ right: " : "✗ "}</b>` : nothing}${rich(text)}
      ${told ? html`<small>${rich(why)}</small>` : nothing}</span></label>`;
  }

  numberField() {
    return html`<label class="rl-number"><span>Your answer</span><input type="text" inputmode="decimal" autocomplete="off" size="10" ?disabled=${this.done} ${value(this.typed)}
      @input=${({ target }) => { this.typed = target.value; }} @keydown=${({ key }) => key === "Enter" && !this.done && this.check()}><span>${this.question.unit ?? ""}</span></label>`;
  }

  /** When it was answered before, and when it comes back. */
  history() {
    const before = entry(this.question);
    if (!before || this.question.any) return "";
    const back = before.due ? ` It comes back on your progress page from ${dated(before.due)}.` : "";
    return `${before.first ? "You had it right at the first try." : "You missed it at the first try."}${back}`;
  }

  view() {
    const { id, text, options, answer, any } = this.question;
    const [told, open] = [this.done && !any, !this.done || any];
    return html`<fieldset class="rl-ask" data-question=${id}><legend>${rich(text)}</legend>
      ${options && this.several ? html`<p class="rl-key">More than one holds: mark all that do.</p>` : nothing}
      ${options ? options.map((one) => this.option(one)) : this.numberField()}
      <div class="rl-bar">${button(open ? "Check" : "Try again", () => (open ? this.check() : this.again()))}
        ${any ? nothing : html`<span ?hidden=${this.done}>${button("Show the answer", () => this.reveal())}</span>`}</div>
      ${this.verdict ? html`<p class="rl-verdict${this.verdict.right ? " rl-good" : ""}"><b>${this.heading()}</b> ${rich(this.verdict.why)}</p>` : nothing}
      ${told ? html`<div class="rl-answer">${rich(answer)}</div>` : nothing}
      <p class="rl-key" ?hidden=${!told}>${this.history()}</p></fieldset>`;
  }
}
