// Design a block: what it costs, beside the one before. Figures: resnet_edu/lab/designer.py.

import { SHORTCUT, chooser } from "../parts/chooser.mjs";
import { table } from "../parts/table.mjs";

const START = { block: "basic", channels: 64, shortcut: "A", stride: 1, variant: "v1.5" };
const LABELS = {
  block: { name: "Block", basic: "basic: 3×3, 3×3", bottleneck: "bottleneck: 1×1, 3×3, 1×1" },
  channels: { name: "Input channels" }, shortcut: SHORTCUT, stride: { name: "Stride", 1: "1", 2: "2: half the size, twice the channels" },
  variant: { name: "Stride on", v1: "first 1×1 (v1)", "v1.5": "3×3 (v1.5)" },
};
const LINES = [
  ["Parameters", ({ parameters }) => parameters.toLocaleString("en-US")],
  ["Multiply-adds, million", ({ multiply_adds }) => (multiply_adds / 1e6).toFixed(1)],
  ["Activations kept for the backward pass, MB", ({ memory }) => (memory / 1e6).toFixed(2)],
  ["Forward pass, ms (recorded)", ({ milliseconds }) => milliseconds.toFixed(2)],
];
const matters = ({ block, stride }) => block === "bottleneck" && stride === 2; // whether the variant does
const nameOf = (one) => `${one.block} block, ${one.channels} channels, ${one.shortcut === "none" ? "no shortcut" : `shortcut ${one.shortcut}`}, stride ${one.stride}${matters(one) ? `, ${one.variant}` : ""}`;

export function mount(el, data) {
  const find = (chosen) => data.costs.find((one) => Object.keys(START).every((key) =>
    one[key] === (key === "variant" && !matters(chosen) ? "v1.5" : chosen[key])));
  return chooser(el, {
    title: "Design a block", choices: data.choices, start: START, labels: LABELS, idle: (chosen) => (matters(chosen) ? [] : ["variant"]),
    note: `One image of 28×28. Recorded on ${data.date}: ${data.device}, torch ${data.versions.torch}; median of nine passes.`,
  }, (chosen, previous) => {
    const [now, before] = [find(chosen), previous && find(previous)];
    const name = nameOf(now);
    const compared = before ? `: ${(now.multiply_adds / before.multiply_adds).toFixed(2)} times the multiply-adds of the one before (${nameOf(before)})` : "";
    return [`${name[0].toUpperCase()}${name.slice(1)}${compared}.`, table("Costs of the block", ["Cost", "This block", "The one before"],
      LINES.map(([text, value]) => [text, value(now), before ? value(before) : "–"]), true)];
  });
}
