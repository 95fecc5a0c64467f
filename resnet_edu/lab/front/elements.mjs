// Elements and numbers as text: what the lab and the cards share.

/** Make an element: attributes with "on…" are listeners, the rest are attributes; false ones are left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A number as a person would write it. */
export function say(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e4 || size < 1e-3) return value.toExponential(1).replace("e+", "e").replace("-", "−");
  return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : value.toPrecision(2);
}

export const percent = (value) => (Number.isFinite(value) ? value.toFixed(1) : "–");

/** 10 to a whole power, short. */
export const power = (exponent) => (Math.abs(exponent) < 3 ? String(Number((10 ** exponent).toFixed(2))) : `1e${exponent}`.replace("-", "−"));

/** A table with a caption (`hidden`: for screen readers alone) and header cells. */
export const table = (caption, head, rows, hidden = false) => make("table", {}, make("caption", { class: hidden && "rl-hidden" }, caption),
  make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
  make("tbody", {}, ...rows.map(([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, String(first)),
    ...rest.map((text) => make("td", {}, text))))));

/** Move the `at` of labels, at least `gap` apart and above `bottom`, so that none stands on another. */
export function spread(labels, bottom, gap = 13) {
  labels.sort((a, b) => a.at - b.at);
  for (let index = 1; index < labels.length; index++) labels[index].at = Math.max(labels[index].at, labels[index - 1].at + gap);
  for (let index = labels.length - 1, most = bottom; index >= 0; index--, most -= gap) labels[index].at = Math.min(labels[index].at, most);
}
