// Your progress: what the reader predicted, operated and recalled in each chapter; what was missed comes back.

import { clear, entry, everything, exported, imported, isDue, listen, trouble } from "../parts/answers.mjs";
import { Ask } from "../parts/ask.mjs";
import { button } from "../parts/controls.mjs";
import { saveBytes } from "../parts/files.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, dayOf } from "../parts/numbers.mjs";
import { html, nothing, show } from "../parts/ui.mjs";

const escaped = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** A question with the numbers that the reader saw in its chapter; a text is HTML, so they are escaped. */
function filled(question, numbers = {}) {
  const fill = (one) => (typeof one === "string" ? one.replace(/\{([a-z_]\w*)\}/g, (gap, name) => (Object.hasOwn(numbers, name) ? escaped(numbers[name]) : gap))
    : Array.isArray(one) ? one.map(fill) : one?.constructor === Object ? Object.fromEntries(Object.entries(one).map(([key, part]) => [key, fill(part)])) : one);
  const made = { ...fill(question), id: question.id, numbers };
  if (typeof made.number === "string") made.number = Number(made.number.replaceAll(",", "").replace("−", "-"));
  return made;
}

class Progress {
  constructor(data, tools, redraw) {
    Object.assign(this, { data, tools, redraw, sure: false, messages: new Messages(redraw), asks: new Map() });
    this.renew();
  }

  /** Take up what is due; a question that is being answered stays until the page is left. */
  renew() {
    for (const question of this.data.chapters.flatMap(({ recall }) => recall)) {
      const one = entry(question);
      if (isDue(one) && !this.asks.has(question.id)) this.asks.set(question.id, new Ask(filled(question, one.numbers ?? {}), this.redraw, (text) => this.messages.announce(text)));
    }
  }

  row({ name, title, predict, recall }) {
    const tick = (on, words, not) => (on ? html`<span class="rl-yes">✓ ${words}</span>` : not);
    const found = recall.map(entry).filter(Boolean);
    const right = found.filter(({ first }) => first).length;
    const guess = predict && entry(predict);
    return html`<tr><th scope="row"><a href="chapters/${name}.html">${title}</a></th>
      <td>${predict ? tick(guess?.values, "yes", guess?.skipped ? "skipped" : "not yet") : "–"}</td>
      <td>${tick(Object.hasOwn(everything().operated, name), "yes", "not yet")}</td>
      <td>${!recall.length ? "–" : tick(found.length === recall.length, `${recall.length} of ${recall.length}`, `${found.length} of ${recall.length}`)}${found.length ? `, ${right} right at first` : ""}</td></tr>`;
  }

  coming() {
    const days = this.data.chapters.flatMap(({ recall }) => recall.map(entry)).filter((one) => one?.due && !isDue(one)).map(({ due }) => due).sort();
    return days.length ? `${count(days.length, "question")} to come back, the next on ${dayOf(days[0])}.` : "Nothing waits to come back.";
  }

  async take({ target }) {
    const [file] = target.files;
    if (!file) return;
    try {
      if (file.size > 4e6) throw new Error("it is larger than any file of answers");
      const came = imported(await file.text());
      this.messages.complain("");
      this.messages.announce(`${count(came, "answer")} taken in; where both had one, the newer stays.`, true);
    } catch (error) {
      this.messages.complain(`${file.name} was not taken in: ${error.message}.`);
      this.messages.announce(`The file was not taken in: ${error.message}.`);
    }
    target.value = "";
  }

  clear() {
    if (this.sure) {
      clear();
      this.asks.clear();
      this.messages.announce("All answers are deleted.", true);
    }
    this.sure = !this.sure;
    this.redraw();
  }

  view() {
    this.renew();
    const asks = [...this.asks.values()];
    return html`<section class="rl rl-questions" aria-label="To look at again"><p class="rl-title">To look at again</p>
        ${asks.length ? asks.map((ask) => ask.view()) : html`<p>No question is due today.</p>`}<p class="rl-key">${this.coming()} What you missed comes back after one day, and after each right answer three, seven and twenty-one days later.</p></section>
      <section class="rl rl-questions" aria-label="Chapters"><table class="rl-chapters"><caption>Your chapters</caption>
        <thead><tr><th scope="col">chapter</th><th scope="col">predicted</th><th scope="col">operated</th><th scope="col">recalled</th></tr></thead>
        <tbody>${this.data.chapters.map((chapter) => this.row(chapter))}</tbody></table>
        ${this.messages.view()}<div class="rl-bar">${button("Export", () => saveBytes("resnet-answers.json", exported(), "application/json"), { title: "Save your answers as a file" })}
        <label class="rl-button rl-import">Import<input type="file" accept=".json,application/json" aria-label="Import a file of answers" @change=${(event) => this.take(event)}></label>
        ${button(this.sure ? "Delete all answers for good" : "Clear", () => this.clear())}${this.sure ? button("Keep them", () => { this.sure = false; this.redraw(); }) : nothing}</div>
        <p class="rl-key">${this.messages.note} ${trouble() || "All of this is kept in this browser alone; no account, and nothing is sent. To take it to another device, export it here and import it there."}</p>${this.messages.live()}</section>`;
  }
}

export function mount(el, data, tools) {
  let screen = null;
  const progress = new Progress(data, tools, () => screen?.redraw());
  screen = show(el, () => progress.view());
  const quiet = listen(() => screen.redraw());
  return () => {
    quiet();
    screen.close();
  };
}
