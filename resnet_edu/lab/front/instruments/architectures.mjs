// Which network is this? Choose its parts: it is counted as you choose, named if it is a known one, and compared.

import { SHORTCUT } from "../parts/chooser.mjs";
import { button, numberField, panel, select } from "../parts/controls.mjs";
import { countNetwork } from "../parts/counting.mjs";
import { Messages } from "../parts/messages.mjs";
import { separated } from "../parts/numbers.mjs";
import { ratioBars } from "../parts/ratios.mjs";
import { table } from "../parts/table.mjs";
import { html, show } from "../parts/ui.mjs";

const IMAGENET = { 18: ["basic", [2, 2, 2, 2]], 34: ["basic", [3, 4, 6, 3]], 50: ["bottleneck", [3, 4, 6, 3]], 101: ["bottleneck", [3, 4, 23, 3]], 152: ["bottleneck", [3, 8, 36, 3]] };
const BASE = { block: "basic", counts: [2, 2, 2, 2], stem: "cifar", width: 64, shortcut: "B", variant: "v1.5", side: 32, colours: 3, classes: 10, bias: false, bare: false };
const small = (n, more = {}) => ({ ...BASE, counts: [n, n, n, 0], width: 16, shortcut: "A", ...more });
const large = (depth, more = {}) => ({ ...BASE, block: IMAGENET[depth][0], counts: IMAGENET[depth][1], ...more });
const forImages = { stem: "imagenet", side: 224, classes: 1000 };
const D2L = { bias: true, bare: true, colours: 1 };
const depths = Object.keys(IMAGENET);

/** Networks by name: the presets of resnet_edu.networks and the paper's; the first that fits gives its name. */
const KNOWN = new Map([
  ...[20, 32, 44, 56, 110, 1202].map((depth) => [`the paper’s ResNet-${depth} for CIFAR-10`, small((depth - 2) / 6)]),
  ...depths.map((depth) => [depth < 50 ? `ResNet-${depth}` : `torchvision’s ResNet-${depth} (v1.5)`, large(depth, forImages)]),
  ...depths.slice(2).map((depth) => [`the paper’s ResNet-${depth} (v1)`, large(depth, { ...forImages, variant: "v1" })]),
  ...depths.map((depth) => [`kuangliu’s ResNet-${depth}`, large(depth)]),
  ...depths.map((depth) => [`weiaicunzai’s ResNet-${depth}`, large(depth, { classes: 100 })]),
  ["d2l’s ResNet-18, as the chapter draws it", large(18, { ...D2L, stem: "imagenet", side: 96 })],
  ["d2l’s ResNet-18, as its function builds it", large(18, { ...D2L, side: 96 })],
  ...[164, 1001].map((depth) => [`ResNet-${depth} of He et al. 2016, original order`, small((depth - 2) / 9, { block: "bottleneck", shortcut: "B", variant: "v1" })]),
  ...[20, 56, 110].map((depth) => [`Li et al.’s ResNet-${depth}, loss surfaces`, small((depth - 2) / 6, { shortcut: "B" })]),
]);

const TEXTS = {
  block: { name: "Block", basic: "basic: 3×3, 3×3", bottleneck: "bottleneck: 1×1, 3×3, 1×1" },
  stem: { name: "Stem", cifar: "3×3", imagenet: "7×7, stride 2, pooling" },
  shortcut: SHORTCUT,
  variant: { name: "Stride on", v1: "first 1×1 (v1)", "v1.5": "3×3 (v1.5)" },
  side: { name: "Image", 8: "8×8", 28: "28×28", 32: "32×32", 96: "96×96", 224: "224×224" },
  colours: { name: "Colours", 1: "1: grey", 3: "3: red, green, blue" },
  classes: { name: "Classes", 10: "10", 100: "100", 1000: "1000" },
  bias: { name: "Convolutions’ biases", false: "none", true: "kept (d2l)" },
  bare: { name: "Behind a projection", false: "batch norm", true: "nothing (d2l)" },
};
const VALUES = {
  block: ["basic", "bottleneck"], stem: ["cifar", "imagenet"], shortcut: ["none", "A", "B", "C"], variant: ["v1", "v1.5"],
  side: [8, 28, 32, 96, 224], colours: [1, 3], classes: [10, 100, 1000], bias: [false, true], bare: [false, true],
};
const millions = (value) => `${(value / 1e6).toLocaleString("en-US", { maximumFractionDigits: 1 })} million`;

/** In which parts two networks differ; the image is not a part, and a stride's place is one of bottlenecks alone. */
const differences = (one, other) => Object.keys(BASE).filter((key) => key !== "side" && String(one[key]) !== String(other[key])
  && !(key === "variant" && one.block === "basic"));
const partOf = (key, spec) => (key === "counts" ? `blocks ${spec.counts.filter(Boolean).join("-")}` : key === "width" ? `width ${spec.width}`
  : `${TEXTS[key].name.toLowerCase()} ${TEXTS[key][spec[key]].replace(/:.*/, "")}`);

/** The name of a network, or of the nearest known one and what is different. */
export function nameOf(spec) {
  let [best, least] = ["", null];
  for (const [name, known] of KNOWN) {
    const apart = differences(spec, known);
    if (least === null || apart.length < least.length) [best, least] = [name, apart];
  }
  if (!least.length) return best;
  if (String(least) === "shortcut" && spec.shortcut === "none") return `the plain twin of ${best}`;
  if (least.length > 2) return "no network that this page knows";
  return `${best}, but for ${least.map((key) => `${partOf(key, spec)} (not ${partOf(key, KNOWN.get(best)).replace(/^\w+ /, "")})`).join(" and ")}`;
}

export function mount(el) {
  let spec = KNOWN.get("the paper’s ResNet-110 for CIFAR-10");
  let other = KNOWN.get("kuangliu’s ResNet-18");
  const messages = new Messages(() => screen?.redraw());
  const choose = (patch) => {
    spec = { ...spec, ...patch };
    messages.complain("");
  };
  const pick = (key) => select(TEXTS[key].name, VALUES[key].map((value) => [String(value), TEXTS[key][value]]), String(spec[key]),
    (text) => choose({ [key]: VALUES[key].find((value) => String(value) === text) }), key === "variant" && spec.block === "basic");
  const whole = (label, now, low, high, set) => numberField(label, "1", now, (text) => {
    const value = text === "" ? NaN : Number(text);
    const rule = Number.isInteger(value) && value >= low && value <= high ? null : `“${label}” must be a whole number from ${low} to ${high}. It stays at ${now}.`;
    if (rule) messages.complain(rule);
    else set(value);
    return rule;
  });
  const stage = (index) => whole(`Blocks in stage ${index + 1}`, spec.counts[index], index < 3 ? 1 : 0, 250, (value) => choose({ counts: spec.counts.map((count, n) => (n === index ? value : count)) }));
  const named = () => [...KNOWN.keys()].find((name) => differences(spec, KNOWN.get(name)).length === 0 && spec.side === KNOWN.get(name).side) ?? "";
  const screen = show(el, () => {
    const [made, beside] = [spec, other].map(countNetwork);
    const name = nameOf(spec);
    const [ours, theirs] = [`${made.layers} layers`, `${beside.layers} layers: ${nameOf(other)}`];
    return html`<section class="rl" aria-label="Which network is this?"><p class="rl-title">Which network is this?</p>
      <div class="rl-settings rl-choices">${select("Start from", [["", "your own"], ...[...KNOWN.keys()].map((one) => [one, one])], named(), (one) => one && choose(KNOWN.get(one)))}
        ${["block", "shortcut", "stem"].map(pick)}${[0, 1, 2, 3].map(stage)}${whole("Width", spec.width, 1, 512, (width) => choose({ width }))}</div>
      <details><summary>Image, classes and details</summary><div class="rl-settings rl-choices">${["side", "colours", "classes", "variant", "bias", "bare"].map(pick)}</div></details>
      ${messages.view()}<output class="rl-summary"><strong>${made.layers} layers with weights: ${name}.</strong>
        ${separated(made.parameters)} parameters, ${millions(made.multiply_adds)} multiply-adds for one image. ${made.projections
    ? `${made.projections} projection${made.projections > 1 ? "s" : ""} on shortcuts, not counted as layers.` : "No projection on a shortcut."}</output>
      ${panel("Beside another network", "", html`${ratioBars([ours, theirs], [["Parameters", made.parameters, beside.parameters, separated], ["Multiply-adds", made.multiply_adds, beside.multiply_adds, millions]])}
        <div class="rl-bar rl-actions">${button("Compare with this one from now on", () => { other = spec; screen.redraw(); }, { disabled: other === spec })}</div>`)}
      <div class="rl-tables rl-card" tabindex="0" role="region" aria-label="Stage by stage">${table("Stage by stage, for one image", ["Part", "Blocks", "Channels", "Map", "Layers", "Parameters", "Multiply-adds"],
    made.stages.map((one) => [one.name, one.blocks || "–", one.channels, `${one.side}×${one.side}`, one.layers, separated(one.parameters), millions(one.multiply_adds)]))}</div>
      <p class="rl-key">Counted in this page, as resnet_edu.accounting counts: biases add no multiply-adds, a batch normalisation has two numbers a channel.</p></section>`;
  });
  return screen.close;
}
