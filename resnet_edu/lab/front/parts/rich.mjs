// Text that was Markdown (resnet_edu/lab/questions.py): safe HTML, its formulas set by the page's MathJax if there is one.

import { drawn, html } from "./ui.mjs";

/** Links lead to other pages of the book. Where an instrument stands in no page of it (a notebook), their words stay. */
function unlink(el) {
  if ("content_root" in document.documentElement.dataset) return; // Sphinx says so of its pages
  for (const link of el.querySelectorAll('a[href]:not([href*=":"])')) link.replaceWith(...link.childNodes);
}

function typeset(el) {
  const open = [...el.querySelectorAll(".rl-tex:not([data-set])")];
  if (!open.length) return;
  const { MathJax } = globalThis;
  if (MathJax?.typesetPromise) {
    for (const one of open) Object.assign(one, { textContent: `\\(${one.dataset.tex}\\)` }).dataset.set = "";
    MathJax.typesetPromise(open).catch(() => {});
  } else if (document.readyState !== "complete") window.addEventListener("load", () => typeset(el), { once: true });
}

function finish(el) {
  unlink(el);
  typeset(el);
}

export const rich = (markup) => html`<span class="rl-rich" .innerHTML=${markup} ${drawn(finish)}></span>`;

/** The words of such a text, for a screen reader's announcement. */
export function wordsOf(markup) {
  const box = document.createElement("template");
  box.innerHTML = markup;
  return box.content.textContent.trim();
}
