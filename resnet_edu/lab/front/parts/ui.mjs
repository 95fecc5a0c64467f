// How an instrument meets its document: templates, and one drawing for all that has changed.
// The only file that names the library (the reason for it: tools/vendor.py).

import { Directive, directive } from "../vendor/directive.mjs";
import { html, noChange, nothing, render } from "../vendor/lit-html.mjs";

export { html, nothing };

let scene = null; // what is being drawn

/** In a template, ``<div ${drawn(draw)}>``: call `draw(element)` once it stands in the document, and when its size changes. */
export const drawn = directive(class extends Directive {
  update({ element }, [draw]) {
    scene.draw.push(() => draw(element));
    scene.sizes.observe(element);
    return noChange;
  }
});

/** The value of a field, which a reader may have changed since it was last drawn; one that is being typed stays. */
export const value = (text) => drawn((field) => {
  if (document.activeElement !== field || field.type !== "number") field.value = text;
});

const SWALLOWED = new Set(["Enter", "Tab", "Escape", " ", "Delete", "Backspace", "Home", "End", "PageUp", "PageDown"]);

/** Keep the keys that a control understands from a notebook's shortcuts. */
function keepKeys(event) {
  if (!event.ctrlKey && !event.metaKey && !event.altKey && (event.key.length === 1 || SWALLOWED.has(event.key) || event.key.startsWith("Arrow"))) event.stopPropagation();
}

/** Call `turned()` when the page's tab is hidden, and when it is in sight again; returns what ends that. */
export function onHide(turned) {
  document.addEventListener("visibilitychange", turned);
  return () => document.removeEventListener("visibilitychange", turned);
}

/** Call `act()` once, as soon as a reader comes near `el`: what an instrument computes for its first picture. */
export function inSight(el, act) {
  const eye = new IntersectionObserver((entries) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    eye.disconnect();
    act();
  }, { rootMargin: "200px" });
  eye.observe(el);
  return () => eye.disconnect();
}

/** Draw `view()`, a template, into `el`. `redraw()` draws it again once the present task is done, `close()` ends that. */
export function show(el, view) {
  let [asked, gone] = [false, false];
  const redraw = () => {
    if (!asked) queueMicrotask(paint);
    asked = true;
  };
  const mine = { draw: [], sizes: new ResizeObserver(redraw) };
  function paint() {
    asked = false;
    if (gone) return;
    scene = mine;
    render(view(), el);
    for (const draw of mine.draw.splice(0)) draw();
  }
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab looks for this, Notebook and nbclassic wait for the event
  el.addEventListener("keydown", keepKeys);
  paint();
  return {
    redraw,
    close() {
      gone = true;
      mine.sizes.disconnect();
    },
  };
}
