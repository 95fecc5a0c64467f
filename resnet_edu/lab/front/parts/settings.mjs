// The settings of a training, as fields.

import { CHOICES, readValue } from "./config.mjs";
import { numberField, select } from "./controls.mjs";
import { PLACES } from "./source-line.mjs";
import { drawn, html } from "./ui.mjs";

const SETTINGS = [
  ["depth", "Depth", { 8: "8 layers", 20: "20 layers", 32: "32 layers", 56: "56 layers", 110: "110 layers" }],
  ["shortcut", "Shortcut", { A: "A: identity", B: "B: projections", C: "C: all projected", none: "none" }],
  ["normalization", "Batch norm", { batch: "on", none: "off" }],
  ["activation", "Activation", { post: "post-activation", pre: "pre-activation" }],
];
const NUMBERS = [["learning_rate", "Learning rate", "any"], ["seed", "Seed", "1"]];

/** A field for a number of `config`; `choose(patch)` takes a good one, a bad one is explained by `messages`. */
export function numberSetting(key, label, step, { config, messages, choose, disabled = false }) {
  return numberField(label, step, config[key], (text) => {
    const [number, rule] = readValue(key, text);
    if (rule) messages.complain(`“${label}”: ${rule.replace(key, "it")}. It stays at ${config[key]}.`);
    else choose({ [key]: number });
    return rule;
  }, disabled);
}

/** All settings of a session; `datasets` are those of a kernel. */
export function settingFields(session, { messages, datasets, open, choose }) {
  const { config, source, sources, recordings } = session;
  const replay = source === "recording";
  const fixed = (key) => replay && !recordings.some((one) => String(one.config[key]) !== String(config[key]));
  const missing = (key, choice) => replay && !session.recorded({ ...config, [key]: choice, switches: [] });
  const sets = source === "kernel" ? datasets : ["digits"];
  const places = sources.filter((name) => name !== "recording" || recordings.length);
  return html`<details class="rl-fold" ?open=${open} ${drawn((box) => { if (box.clientWidth > 530) box.open = true; })}><summary>Settings</summary>
    <div class="rl-settings" role="group" aria-label="Network and training">
    ${SETTINGS.map(([key, label, texts]) => select(label, CHOICES[key].map((choice) => [choice, texts[choice], missing(key, choice)]), config[key],
    (choice) => choose({ [key]: choice, switches: [] }), fixed(key)))}
    ${NUMBERS.map(([key, label, by]) => numberSetting(key, label, by, { config, messages, choose, disabled: fixed(key) }))}
    ${datasets.length > 1 ? select("Data", sets.map((name) => [name, name]), config.data ?? sets[0], (data) => choose({ data }), sets.length < 2) : ""}
    ${select("Figures from", places.map((name) => [name, PLACES[name]]), source, (name) => session.pickSource(name))}</div></details>`;
}
