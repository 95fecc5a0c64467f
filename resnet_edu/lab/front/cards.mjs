// Two small islands that need no kernel: the block designer and the gradient explorer, both from recorded tables.

import { make, power, spread, table } from "./elements.mjs";

/** A select for every choice, a polite summary and a body; `show(chosen, body)` returns the summary's text. */
function chooser(el, { title, choices, start, labels, note }, show) {
  const chosen = { ...start };
  const summary = make("output", { class: "rl-summary" });
  const body = make("div", { class: "rl-card" });
  const fields = Object.entries(choices).map(([name, values]) => {
    const select = make("select", { onchange: () => ((chosen[name] = values[select.selectedIndex]), draw()) },
      ...values.map((value) => make("option", { selected: value === chosen[name] }, labels[name]?.[value] ?? String(value))));
    return make("label", { class: "rl-field" }, labels[name]?.name ?? name, select);
  });
  const draw = () => (summary.textContent = show(chosen, body, fields));
  el.append(make("section", { class: "rl", "aria-label": title }, make("p", { class: "rl-title" }, title),
    make("div", { class: "rl-settings rl-choices" }, ...fields), summary, body, make("p", { class: "rl-key" }, note)));
  draw();
}

const SHORTCUT = { name: "Shortcut", none: "none (plain)", A: "A: identity, zeros", B: "B: projection where needed", C: "C: all projected" };

function designer(el, data) {
  const start = { block: "basic", channels: 64, shortcut: "A", stride: 1, variant: "v1.5" };
  const matters = ({ block, stride }) => block === "bottleneck" && stride === 2;
  const find = (chosen) => data.costs.find((one) => Object.keys(start).every((key) =>
    one[key] === (key === "variant" && !matters(chosen) ? "v1.5" : chosen[key])));
  const lines = [
    ["Parameters", ({ parameters }) => parameters.toLocaleString("en-US")],
    ["Multiply-adds, million", ({ multiply_adds }) => (multiply_adds / 1e6).toFixed(1)],
    ["Activations kept for the backward pass, MB", ({ memory }) => (memory / 1e6).toFixed(2)],
    ["Forward pass, ms (recorded)", ({ milliseconds }) => milliseconds.toFixed(2)],
  ];
  let [now, before] = [null, null];
  const name = (one) => `${one.block} block, ${one.channels} channels, ${one.shortcut === "none" ? "no shortcut" : `shortcut ${one.shortcut}`}, stride ${one.stride}${matters(one) ? `, ${one.variant}` : ""}`;
  chooser(el, {
    title: "Design a block", choices: data.choices, start,
    labels: {
      block: { name: "Block", basic: "basic: 3×3, 3×3", bottleneck: "bottleneck: 1×1, 3×3, 1×1" },
      channels: { name: "Input channels" }, shortcut: SHORTCUT, stride: { name: "Stride", 1: "1", 2: "2: half the size, twice the channels" },
      variant: { name: "Stride on", v1: "first 1×1 (v1)", "v1.5": "3×3 (v1.5)" },
    },
    note: `One image of 28×28. Recorded on ${data.date}: ${data.device}, torch ${data.versions.torch}; median of nine passes.`,
  }, (chosen, body, fields) => {
    fields[4].querySelector("select").disabled = !matters(chosen);
    [before, now] = [now, find(chosen)];
    body.replaceChildren(table("Costs of the block", ["Cost", "This block", "The one before"],
      lines.map(([text, value]) => [text, value(now), before ? value(before) : "–"]), true));
    const compared = before ? `: ${(now.multiply_adds / before.multiply_adds).toFixed(2)} times the multiply-adds of the one before (${name(before)})` : "";
    return `${name(now)[0].toUpperCase()}${name(now).slice(1)}${compared}.`;
  });
}

/**
 * Curves on a logarithmic axis: `curves` are [values, number of the moment, label or null (then dotted)], `ticks`
 * [place between 0 and 1, text]. A thin line leads from the end of a curve to its label.
 */
function logChart(title, xLabel, curves, ticks) {
  const [width, height, left, right, bottom, top] = [285, 230, 40, 54, 34, 10];
  const [end, base] = [width - right, height - bottom];
  const values = curves.flatMap(([numbers]) => numbers);
  const low = Math.max(-8, Math.floor(Math.log10(Math.max(1e-8, Math.min(...values)))));
  const high = Math.ceil(Math.log10(Math.max(...values, 1.1)));
  const x = (part) => (left + part * (end - left)).toFixed(1);
  const y = (value) => Number((base - ((Math.log10(Math.max(value, 1e-8)) - low) / (high - low)) * (base - top)).toFixed(1));
  const across = (kind, at) => `<line class="rl-${kind}" x1="${left}" x2="${end}" y1="${at}" y2="${at}"/>`;
  let marks = "";
  for (let decade = low; decade <= high; decade += Math.ceil((high - low) / 6)) {
    const at = y(10 ** decade);
    marks += `${across("grid", at)}<text x="${left - 5}" y="${at}" dy=".35em" text-anchor="end">${power(decade)}</text>`;
  }
  marks += across("cursor", y(1));
  const anchor = (part) => (part === 1 ? "end" : part === 0 ? "start" : "middle");
  for (const [part, text] of ticks) marks += `<text x="${x(part)}" y="${base + 15}" text-anchor="${anchor(part)}">${text}</text>`;
  marks += `<text x="${(left + end) / 2}" y="${height - 3}" text-anchor="middle">${xLabel}</text>`;
  const labels = [];
  for (const [numbers, moment, label] of curves) {
    const points = numbers.map((value, index) => `${index ? "L" : "M"}${x(index / (numbers.length - 1))} ${y(value)}`).join("");
    marks += `<path class="rl-moment rl-moment-${moment}${label ? "" : " rl-median"}" d="${points}"/>`;
    if (label) labels.push({ from: y(numbers.at(-1)), at: y(numbers.at(-1)), label, moment });
  }
  spread(labels, base);
  for (const { from, at, label, moment } of labels) {
    marks += `<path class="rl-lead rl-moment-${moment}" d="M${end} ${from}L${end + 12} ${at}"/><text class="rl-label" x="${end + 15}" y="${at}" dy=".35em">${label}</text>`;
  }
  const box = make("div", { class: "rl-panel" }, make("p", { class: "rl-title" }, title), make("div", {}));
  box.lastChild.innerHTML = `<svg viewBox="0 0 ${width} ${height}" width="100%" aria-hidden="true">${marks}</svg>`;
  return box;
}

function explorer(el, data) {
  const start = { depth: 20, shortcut: "A", normalization: "batch", activation: "post" };
  const show = (value) => (value <= 1e-8 ? "below 1e−8" : Number(value.toPrecision(2)).toString().replace("-", "−"));
  chooser(el, {
    title: "Explore the gradient", choices: data.choices, start,
    labels: {
      depth: { name: "Depth", 8: "8 layers", 20: "20 layers", 56: "56 layers" }, shortcut: SHORTCUT,
      normalization: { name: "Batch norm", batch: "on", none: "off" },
      activation: { name: "Activation", post: "post-activation", pre: "pre-activation" },
    },
    note: `Digits, width 4, learning rate ${data.training.learning_rate}, seed ${data.training.seed}; four test images, geometric means. Recorded on ${data.date} (${data.device}, torch ${data.versions.torch}): ${data.command}`,
  }, (chosen, body) => {
    const { spectra } = data.runs.find((run) => Object.keys(start).every((key) => run[key] === chosen[key]));
    const blocks = spectra[0].largest.length;
    const label = (step) => (step ? String(step) : "step 0");
    const percent = ({ kept }) => (100 * kept).toFixed(0);
    body.replaceChildren(make("div", { class: "rl-columns" },
      logChart("Singular values of each block", "block", spectra.flatMap(({ step, largest, middle }, index) =>
        [[middle, index, null], [largest, index, label(step)]]), [[0, 1], [1, blocks]]),
      logChart("Singular values of the product", "in order of size", spectra.map(({ step, product }, index) => [product, index, label(step)]),
        [[0, "largest"], [0.5, "median"], [1, "smallest"]])),
    make("p", { class: "rl-key" }, "Each line is a step of training. Solid: the largest value; dotted: the median. At 1 a gradient keeps its size."),
    make("details", {}, make("summary", {}, "The same as a table"), make("div", { class: "rl-tables", tabindex: "0", role: "region", "aria-label": "Singular values" },
      table("Singular values of the product of all blocks", ["Step", "Largest", "Median", "Kept, %", "Largest of a block", "Test error, %"],
        spectra.map((one) => [String(one.step), show(one.product[0]), show(one.product[5]), percent(one), show(Math.max(...one.largest)), one.test_error.toFixed(1)]), true))));
    const [first, last] = [spectra[0], spectra.at(-1)];
    const ended = last.step < data.steps.at(-1) ? ` Training diverged after step ${last.step}.` : "";
    const then = last === first ? "" : ` and ${percent(last)} % at step ${last.step}`;
    return `The product keeps ${percent(first)} % of the directions (singular value above 0.01) at step ${first.step}${then}; the test error is ${last.test_error.toFixed(1)} %.${ended}`;
  });
}

const CARDS = { designer, explorer };

/** Mount every card of the page; one that fails keeps what stood there and says why. */
export function mountCards() {
  for (const el of document.querySelectorAll(".resnet-card")) {
    const still = el.querySelector(".resnet-card-still");
    try {
      CARDS[el.dataset.card](el, JSON.parse(el.querySelector("script[type='application/json']").textContent));
      if (still) still.hidden = true;
    } catch (error) {
      el.append(make("p", { role: "alert" }, `This part of the page could not start: ${error.message}`));
    }
  }
}
