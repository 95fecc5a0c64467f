// What an instrument says: one visible message, one polite live region, and short notes.

import { html } from "./ui.mjs";

export class Messages {
  constructor(changed) {
    Object.assign(this, { changed, complaint: "", said: "", note: "" });
  }

  /** Show a message until the next one; an empty one takes it away. */
  complain(text) {
    this.complaint = text ?? "";
    this.changed();
  }

  /** Say something to screen readers; `visibly` shows it for a moment, too. */
  announce(text, visibly = false) {
    this.said = text;
    if (visibly) {
      this.note = text;
      setTimeout(() => {
        this.note = "";
        this.changed();
      }, 2500);
    }
    this.changed();
  }

  view() {
    return html`<div class="rl-message" ?hidden=${!this.complaint}>${this.complaint}</div>`;
  }

  live() {
    return html`<div class="rl-hidden" aria-live="polite">${this.said}</div>`;
  }
}
