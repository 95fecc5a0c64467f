// What a reader may choose, and how it is written into an address. CHOICES and DEFAULTS are those of recording.py,
// which a test compares.

export const CHOICES = {
  depth: [8, 20, 32, 56, 110],
  shortcut: ["A", "B", "C", "none"],
  normalization: ["batch", "none"],
  activation: ["post", "pre"],
};
const NUMBERS = { // lowest, highest, whole
  learning_rate: [0.0001, 10, false],
  seed: [0, 99999, true],
  steps: [20, 2000, true],
};
export const DEFAULTS = {
  depth: 56, shortcut: "A", normalization: "batch", activation: "post", learning_rate: 0.03, seed: 1, steps: 300,
  width: 4, batch_size: 32, momentum: 0.9, weight_decay: 0.0001, test_every: 10, switches: [],
};
export const blocksOf = (config) => (config.depth - 2) / 2;

/** Return [value, null] or [null, the rule that the text breaks]. */
export function readValue(key, text) {
  if (key in CHOICES) {
    const value = CHOICES[key].find((one) => String(one) === String(text));
    return value === undefined ? [null, `${key} must be one of ${CHOICES[key].join(", ")}`] : [value, null];
  }
  const [low, high, whole] = NUMBERS[key];
  const value = text === "" ? NaN : Number(text);
  const good = value >= low && value <= high && (!whole || Number.isInteger(value));
  return good ? [value, null] : [null, `${key} must be a ${whole ? "whole " : ""}number from ${low} to ${high}`];
}

/** Which blocks have their shortcut once `step` steps are done. */
export function connections(config, step = Infinity) {
  const connected = new Array(blocksOf(config)).fill(config.shortcut !== "none");
  for (const [since, block, on] of config.switches) if (since <= step) connected[block - 1] = Boolean(on);
  return connected;
}

/** Equal runs have equal keys. */
export const keyOf = (config) => JSON.stringify(Object.keys(DEFAULTS).map((key) => config[key]).concat(config.data ?? []));

/** Write what differs from the defaults, for example `depth=20&shortcut=none&restore=3&cut=3@40`. */
export function writeState({ config, source, cursor, guess }) {
  const parts = [];
  for (const key of [...Object.keys(CHOICES), ...Object.keys(NUMBERS)]) {
    if (config[key] !== DEFAULTS[key]) parts.push(`${key}=${config[key]}`);
  }
  for (const [name, on] of [["cut", 0], ["restore", 1]]) {
    const list = config.switches.filter((one) => one[2] === on).map(([step, block]) => (step ? `${block}@${step}` : block));
    if (list.length) parts.push(`${name}=${list.join(",")}`);
  }
  if (source !== "browser") parts.push(`source=${source}`);
  if (cursor !== null) parts.push(`at=${cursor}`);
  if (guess) parts.push("guess=1");
  return parts.join("&");
}

/** Read it back; every part that makes no sense adds a sentence to `problems` and is left out. */
export function readState(text, start, sources) {
  const state = { config: { ...start, switches: [...start.switches] }, source: null, cursor: null, guess: false };
  const problems = [];
  const blame = (part, rule) => problems.push(`“${part.slice(0, 40)}”: ${rule}.`);
  const switches = [];
  for (const part of text.split("&").filter(Boolean)) {
    const [name, value = ""] = part.split("=");
    if (name in CHOICES || name in NUMBERS) {
      const [read, rule] = readValue(name, value);
      if (rule) blame(part, rule);
      else state.config[name] = read;
    } else if (name === "cut" || name === "restore") {
      for (const item of value.split(",")) {
        const found = /^(\d{1,3})(?:@(\d{1,4}))?$/.exec(item);
        if (found) switches.push([Number(found[2] ?? 0), Number(found[1]), Number(name === "restore"), part]);
        else blame(part, "blocks are written as 5 or 5@40 (block 5 from step 40), with commas between them");
      }
    } else if (name === "source") {
      if (sources.includes(value)) state.source = value;
      else blame(part, `source must be one of ${sources.join(", ")}`);
    } else if (name === "at") {
      if (/^\d{1,4}$/.test(value)) state.cursor = Number(value);
      else blame(part, "at must be a step number");
    } else if (name === "guess") state.guess = value === "1";
    else blame(part, "there is no such setting");
  }
  const blocks = blocksOf(state.config);
  state.config.switches = (switches.length ? [] : state.config.switches).filter((one) => one[1] <= blocks);
  for (const [step, block, on, part] of switches.sort((a, b) => a[0] - b[0])) {
    if (block >= 1 && block <= blocks) state.config.switches.push([step, block, on]);
    else blame(part, `a network of depth ${state.config.depth} has blocks 1 to ${blocks}`);
  }
  return { state, problems };
}

/** The network in words: "56 layers, shortcuts A". */
export function nameOf(config) {
  const connected = connections(config);
  const count = connected.filter(Boolean).length;
  const kind = config.shortcut === "none" ? "A" : config.shortcut;
  const paths = !count ? "no shortcuts"
    : count === connected.length ? `shortcuts ${kind}` : `shortcuts ${kind} in ${count} of ${connected.length} blocks`;
  return `${config.depth} layers, ${paths}`
    + (config.normalization === "none" ? ", no batch norm" : "") + (config.activation === "pre" ? ", pre-activation" : "");
}
