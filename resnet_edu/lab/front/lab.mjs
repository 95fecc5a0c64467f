// The lab: controls, linked views, and the state behind them. widget.mjs mounts it in a notebook, page.mjs in a page.

import { make, percent, power, say } from "./elements.mjs";
import { packRecord, toCsv, unpackRecord } from "./record.mjs";
import { browserSource, recordedSource } from "./sources.mjs";
import { CHOICES, DEFAULTS, blocksOf, connections, keyOf, nameOf, readState, readValue, writeState } from "./state.mjs";
import { decades, drawChart, drawResponses, drawStrip, frameAt, shareOf, styleOf, tables, viridis } from "./views.mjs";

const POLL = 100; // milliseconds between questions to a source: ten drawings a second
const KEPT = 6; // own runs that stay for comparison
const GUESSES = 5; // points of a guessed curve
const SETTINGS = [
  ["depth", "Depth", { 8: "8 layers", 20: "20 layers", 32: "32 layers", 56: "56 layers", 110: "110 layers" }],
  ["shortcut", "Shortcut", { A: "A: identity", B: "B: projections", C: "C: all projected", none: "none" }],
  ["normalization", "Batch norm", { batch: "on", none: "off" }],
  ["activation", "Activation", { post: "post-activation", pre: "pre-activation" }],
];
const PLACES = { browser: "this browser", recording: "recordings", kernel: "the kernel" };

const count = (steps) => `${steps} step${steps === 1 ? "" : "s"}`;
const sample = (style, kind, more = "") => `<svg width="34" height="10" aria-hidden="true" class="rl-run rl-front ${style}"><path class="rl-${kind}" d="M1 5H33"/>${more}</svg>`;
const dayOf = (date) => new Date(date).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const agent = () => {
  const text = navigator.userAgent;
  const [, name = "a browser", version = ""] = /(Firefox|Edg|Chrome|Version)\/(\d+)/.exec(text) ?? [];
  return `${{ Edg: "Edge", Version: "Safari" }[name] ?? name} ${version}`.trim();
};

/** Build the lab in `el`. `read(name)` gives its values (resnet_edu/lab/__init__.py); `kernelSource()` a kernel, if there is one. */
export function mount(el, read, kernelSource) {
  const get = (name, otherwise) => read(name) ?? otherwise;
  const id = get("id", "lab");
  const start = { ...DEFAULTS, ...get("config", {}) };
  const sources = kernelSource ? ["kernel", "browser", "recording"] : ["browser", "recording"];
  const problems = [];
  const recordings = [];
  for (const record of get("records", [])) {
    try {
      recordings.push(unpackRecord(record));
    } catch (error) {
      problems.push(`A recorded run cannot be shown: ${error.message}.`);
    }
  }
  const recorded = (config) => recordings.find((run) => keyOf(run.config) === keyOf(config)) ?? null;

  const S = {
    config: start, source: sources[0], cursor: null, guess: get("guess", false), guesses: new Array(GUESSES).fill(50), guessed: null,
    runs: recordings.filter((run) => get("shown", []).includes(run.facts.name)), current: null, kind: start.shortcut === "none" ? "A" : start.shortcut,
    speed: 0, note: "",
  };
  let links = {}; // sources in use, by name
  let queue = Promise.resolve(); // one request in flight

  // ---- the page's address ----------------------------------------------------------------------------------
  const segments = () => location.hash.slice(1).split(";").filter(Boolean);
  const isMine = (part) => part === id || part.startsWith(`${id}?`);
  const mine = segments().find(isMine);
  if (mine) {
    let text = mine.slice(id.length + 1);
    try {
      text = decodeURIComponent(text);
    } catch {
      // a stray % stays as it is; reading the parts reports it
    }
    const read = readState(text, start, sources);
    Object.assign(S, read.state, { source: read.state.source ?? S.source, guess: read.state.guess || S.guess });
    if (read.problems.length) problems.push(`This address was not understood in full. ${read.problems.join(" ")} The rest was used.`);
  }
  const ownHash = () => `${id}?${writeState(S)}`.replace(/\?$/, ""); // the start is the lab's own anchor
  function saveAddress() {
    const others = segments().filter((part) => part.includes("?") && !isMine(part));
    try {
      history.replaceState(history.state, "", `#${[...others, ownHash()].join(";")}`);
    } catch {
      // an embedding page may forbid it; the link can still be copied
    }
  }

  // ---- the document ----------------------------------------------------------------------------------------
  const button = (text, action, extra = {}) => make("button", { type: "button", class: "rl-button", onclick: action, ...extra }, text);
  const view = {};
  view.play = button("", () => toggle(), { class: "rl-button rl-primary" });
  view.step = button("Step", () => single(), { title: "Train one step" });
  view.reset = button("Reset", () => reset(), { title: "Back to the start" });
  view.shortcuts = make("button", { type: "button", role: "switch", class: "rl-switch", onclick: () => {
    const on = connections(S.config).some(Boolean);
    choose({ shortcut: on ? "none" : S.kind, switches: [] });
    announce(`Shortcuts ${on ? "off" : "on"}. ${summary()}`);
  } }, make("span", { class: "rl-knob", "aria-hidden": "true" }), "Shortcuts", make("b", { "aria-hidden": "true" }));
  view.guess = button("Guess first", () => {
    S.guess = !S.guess;
    S.guessed = null;
    if (S.guess) stop();
    changed();
  }, { "aria-pressed": "false", title: "Draw the curve that you expect before you see it" });

  const panel = (title, sub, ...content) => make("section", { class: "rl-panel", "aria-label": title },
    make("p", { class: "rl-title" }, title, make("small", {}, sub)), ...content);

  const fields = {};
  const field = (label, control) => make("label", { class: "rl-field" }, make("span", {}, label), control);
  const controls = SETTINGS.map(([key, label, texts]) => {
    fields[key] = make("select", { onchange: ({ target }) => choose({ [key]: readValue(key, target.value)[0], switches: [] }) },
      ...CHOICES[key].map((value) => make("option", { value }, texts[value])));
    return field(label, fields[key]);
  });
  for (const [key, label, step] of [["learning_rate", "Learning rate", "any"], ["seed", "Seed", "1"]]) {
    fields[key] = make("input", { type: "number", inputmode: "decimal", step, min: "0", onchange: ({ target }) => {
      const [value, rule] = readValue(key, target.value);
      if (rule) {
        target.value = S.config[key];
        complain(`“${label}”: ${rule.replace(key, "it")}. It stays at ${S.config[key]}.`);
      } else choose({ [key]: value });
    } });
    controls.push(field(label, fields[key]));
  }
  fields.source = make("select", { onchange: ({ target }) => pickSource(target.value) },
    ...sources.filter((name) => name !== "recording" || recordings.length).map((value) => make("option", { value }, PLACES[value])));
  controls.push(field("Figures from", fields.source));

  view.settings = make("details", { class: "rl-fold" }, make("summary", {}, "Settings"),
    make("div", { class: "rl-settings", role: "group", "aria-label": "Network and training" }, ...controls));

  view.message = make("div", { class: "rl-message", hidden: true });
  view.summary = make("output", { class: "rl-summary", "aria-live": "off" });
  view.live = make("div", { class: "rl-hidden", "aria-live": "polite" });
  const chart = (title, sub, ...below) => {
    const box = make("div", { class: "rl-chart", role: "img" });
    return [box, panel(title, sub, box, ...below)];
  };
  const [errorBox, errorPanel] = chart("Error", "in percent");
  const [lossBox, lossPanel] = chart("Loss", "cross-entropy in nats");
  const [responseBox, responsePanel] = chart("Response size per block", "on a logarithmic scale",
    make("p", { class: "rl-key" }, "Standard deviation of what a block computes, before its shortcut is added."));
  view.handles = Array.from({ length: GUESSES }, (_, index) => make("div", {
    class: "rl-handle", role: "slider", tabindex: "0", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100,
    onkeydown: (event) => {
      const by = { ArrowUp: 2, ArrowRight: 2, ArrowDown: -2, ArrowLeft: -2, PageUp: 10, PageDown: -10, Home: -100, End: 100 }[event.key];
      if (!by) return;
      event.preventDefault();
      S.guesses[index] = Math.min(100, Math.max(0, S.guesses[index] + by));
      draw();
    },
  }));
  view.errorArea = make("div", { class: "rl-area" }, ...view.handles);
  errorBox.replaceWith(view.errorArea);
  view.errorArea.prepend(errorBox);
  view.cover = make("p", {}, "Where will the test error go? Draw it: drag the five points, or move them with the arrow keys.");
  const guessAt = (event) => {
    if (!S.guess || !view.errorScale || (event.type === "pointermove" && !event.buttons)) return;
    event.preventDefault();
    const area = errorBox.getBoundingClientRect();
    const step = view.errorScale.step(event.clientX - area.left);
    const index = Math.min(GUESSES - 1, Math.max(0, Math.round((step / S.config.steps) * GUESSES) - 1));
    S.guesses[index] = Math.round(view.errorScale.value(event.clientY - area.top));
    draw();
  };
  view.errorArea.addEventListener("pointerdown", guessAt);
  view.errorArea.addEventListener("pointermove", guessAt);
  view.showMe = button("Show me", () => showMe(), { class: "rl-button rl-primary rl-show" });
  view.key = make("p", { class: "rl-key" });
  view.key.innerHTML = `${sample("", "train")} training, running mean ${sample("", "test", '<circle cx="17" cy="5" r="2.1"/>')} test`;

  view.scrub = make("input", { type: "range", min: 0, step: 1, "aria-label": "Step shown", oninput: ({ target }) => {
    const last = S.current?.frames.length ?? 0;
    S.cursor = Number(target.value) >= last ? null : Number(target.value);
    draw();
  }, onchange: saveAddress });
  view.at = make("span", { class: "rl-at" });

  view.network = make("div", { class: "rl-network", role: "group", "aria-label": "Shortcuts, block by block; arrow keys move from block to block" });
  view.network.addEventListener("keydown", (event) => {
    const all = [...view.network.querySelectorAll(".rl-block")];
    const from = all.indexOf(document.activeElement);
    const to = { ArrowRight: from + 1, ArrowLeft: from - 1, ArrowDown: from + 1, ArrowUp: from - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    all.forEach((one, index) => (one.tabIndex = index === to ? 0 : -1));
    all[to].focus();
  });
  view.legends = [0, 1].map(() => make("div", { class: "rl-legend" }));
  view.strip = make("canvas", { role: "img" });
  view.stripLine = make("div", { class: "rl-strip-line" });
  view.stripText = make("p", { class: "rl-key" });
  const stripPanel = panel("Gradient norm per layer", "of the weights, over time", make("div", { class: "rl-strip" }, make("span", { class: "rl-strip-top" }, "input"), make("span", { class: "rl-strip-bottom" }, "output"),
      make("div", { class: "rl-strip-box" }, view.strip, view.stripLine)), view.legends[1], view.stripText);
  view.runs = make("ul", { class: "rl-runs" });
  view.tables = make("div", { class: "rl-tables", tabindex: "0", role: "region", "aria-label": "Figures as tables" });
  view.details = make("details", { ontoggle: () => fillTables() }, make("summary", {}, "Figures as tables"), view.tables);
  view.copy = button("Copy link", async () => {
    saveAddress();
    const link = `${location.href.split("#")[0]}#${ownHash()}`;
    try {
      await navigator.clipboard.writeText(link);
      announce("Link copied.", true);
    } catch {
      view.link.hidden = false;
      view.link.value = link;
      view.link.focus();
      view.link.select();
    }
  });
  view.link = make("input", { class: "rl-link", readonly: true, hidden: true, "aria-label": "Link to this state" });
  const save = (type, text, ending) => {
    const address = URL.createObjectURL(new Blob([text], { type }));
    const { depth, shortcut, seed } = S.current.config;
    make("a", { href: address, download: `resnet-${depth}-${shortcut}-seed-${seed}.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  view.json = button("Download JSON", () => {
    const run = S.current;
    const record = run.source === "recording" ? run.facts : packRecord(run, { name: "download", source: run.source, device: run.source === "browser" ? `${agent()}, ${run.device}` : run.device, date: run.date, command: "the lab", versions: {} });
    save("application/json", JSON.stringify(record, null, 1), "json");
  });
  view.csv = button("Download CSV", () => save("text/csv", toCsv(S.current), "csv"));

  const root = make("div", { class: "rl", role: "group", "aria-label": "Lab: training with and without shortcuts" },
    make("div", { class: "rl-bar" }, view.play, view.step, view.reset, view.shortcuts, make("span", { class: "rl-space" }), view.guess),
    view.settings,
    view.message, view.summary,
    make("div", { class: "rl-guessbar", hidden: true }, view.cover, view.showMe),
    make("div", { class: "rl-columns rl-curves" }, errorPanel, lossPanel),
    view.key,
    make("label", { class: "rl-scrub" }, make("span", {}, "Step shown"), view.scrub, view.at),
    make("div", { class: "rl-details" }, panel("The network", "press a block to cut or restore its shortcut", view.network, view.legends[0])),
    make("div", { class: "rl-columns rl-details" }, stripPanel, responsePanel),
    make("div", { class: "rl-details" }, panel("Runs", "choose which one the views show", view.runs)),
    make("div", { class: "rl-bar rl-actions" }, view.copy, view.json, view.csv, view.link),
    view.details, view.live);
  view.guessbar = root.querySelector(".rl-guessbar");
  el.replaceChildren(root);

  // ---- words -----------------------------------------------------------------------------------------------
  function complain(text) {
    view.message.textContent = text;
    view.message.hidden = !text;
  }
  function announce(text, visibly = false) {
    view.live.textContent = text;
    if (visibly) {
      S.note = text;
      draw();
      setTimeout(() => (S.note = "", draw()), 2500);
    }
  }
  const shownStep = () => (S.current ? S.cursor ?? S.current.frames.length : 0);
  function origin(run) {
    const { seed, learning_rate: rate } = run.config;
    const settings = `learning rate ${rate}, seed ${seed}`;
    if (run.source === "recording") return `Recording of ${dayOf(run.facts.date)}, ${run.facts.device}, ${settings}.`;
    const where = run.source === "kernel" ? `the kernel (${run.device ?? "device unknown"})` : `this browser (${run.device ?? "starting"})`;
    return `${run.state === "running" ? "Training in" : "Trained in"} ${where}${S.speed && run.state === "running" ? `, ${say(S.speed)} steps/s` : ""}, ${settings}.`;
  }
  function summary() {
    if (S.guess) return `${nameOf(S.config)}.`;
    const run = S.current;
    if (!run || !run.frames.length) return `${nameOf(S.config)}: not trained yet.`;
    const step = shownStep();
    const tested = step ? run.frames.slice(0, step).findLast((frame) => frame.test_error !== undefined) : null;
    const trained = smoothError(run.frames, step);
    return `${nameOf(S.config)}: ${tested ? `test error ${percent(tested.test_error)} %` : "test error not measured yet"}`
      + `${trained === null ? "" : `, training error ${percent(trained)} %`} after ${count(step)}.`;
  }
  const smoothError = (frames, step) => {
    const part = frames.slice(Math.max(0, step - 20), step);
    return part.length ? part.reduce((sum, { error }) => sum + error, 0) / part.length : null;
  };

  // ---- what happens ----------------------------------------------------------------------------------------
  function link(name) {
    links[name] ??= name === "kernel" ? kernelSource()
      : name === "recording" ? recordedSource(recorded) : browserSource(get("engine"), get("digits"));
    return links[name];
  }
  /** Send one request for `run` after those before it; take in the reply. */
  function request(run, message) {
    queue = queue.then(async () => {
      if (run.state === "failed") return;
      try {
        const before = performance.now();
        take(run, await link(run.link).ask({ ...message, since: message.kind === "start" ? 0 : run.frames.length }), before);
      } catch (error) {
        run.state = "failed";
        links[run.link]?.close();
        delete links[run.link];
        complain(error.message);
        announce(error.message);
        draw();
      }
    });
    return queue;
  }
  function take(run, reply, now) {
    run.frames.push(...reply.frames);
    if (reply.switches) run.config.switches = reply.switches;
    if (run === S.current && reply.switches) S.config.switches = reply.switches;
    run.device = reply.device ?? run.device;
    if (reply.state === "running" && run.mark && now > run.mark.time) S.speed = (1000 * (run.frames.length - run.mark.step)) / (now - run.mark.time);
    if (!run.mark || now - run.mark.time > 2000) run.mark = { time: now, step: run.frames.length };
    const before = run.state;
    run.state = reply.state;
    if (run.state === "failed") complain(reply.message);
    if (run.state !== before && (run.state === "failed" || run.state === "done")) finish(run, reply);
    draw();
  }
  function finish(run, reply) {
    fillTables();
    const end = run.frames.findLast((frame) => frame.test_error !== undefined);
    let text = run.state === "failed" ? reply.message : `Finished. ${summary()}`;
    if (S.guessed && end) {
      const measured = (step) => frameAt(run.frames, step, "test_error").test_error;
      const distance = S.guessed.reduce((sum, value, index) => sum + Math.abs(value - measured(Math.round(((index + 1) * run.config.steps) / GUESSES))), 0) / GUESSES;
      S.verdict = `You guessed ${S.guessed.at(-1)} % for the end; it is ${percent(end.test_error)} %. On average your curve is ${percent(distance)} points away.`;
      text += ` ${S.verdict}`;
    }
    announce(text);
    saveAddress();
  }
  async function follow(run) {
    while (run.state === "running" && run === S.current) {
      await new Promise((resolve) => setTimeout(resolve, POLL));
      if (!document.hidden && run.state === "running" && run === S.current) await request(run, { kind: "poll" });
    }
  }
  const own = () => (S.current && S.current.link === S.source && ["running", "paused"].includes(S.current.state) ? S.current : null);

  function begin(play) {
    complain("");
    const config = structuredClone(S.config);
    if (S.source === "recording" && !recorded(config)) return complain(`There is no recording of this: ${nameOf(config)}. Recorded are the lab’s default settings at each depth.`), null;
    const run = { config, frames: [], source: S.source, link: S.source, state: "paused", date: new Date().toISOString(), device: null };
    if (S.source === "recording") Object.assign(run, { facts: recorded(config).facts });
    S.runs = S.runs.filter((one) => one.source === "recording" || keyOf(one.config) !== keyOf(config)).filter((one) => one !== S.current || one.frames.length > 1);
    if (S.current?.link && S.current.frames.length > 1 && keyOf(S.current.config) !== keyOf(config) && !S.runs.includes(S.current)) S.runs.push(S.current);
    while (S.runs.filter((one) => one.link).length >= KEPT) S.runs.splice(S.runs.findIndex((one) => one.link), 1);
    S.runs = S.runs.filter((one) => !(one.link === "recording"));
    S.runs.push(run);
    Object.assign(S, { current: run, cursor: null, speed: 0 });
    if (play) run.state = "running";
    try {
      link(S.source);
    } catch (error) {
      run.state = "failed";
      complain(`Training in this page is not possible: ${error.message}.`);
      draw();
      return null;
    }
    const calm = S.source === "recording" && matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (calm) {
      Object.assign(run, { frames: recorded(config).frames, state: "done" });
      finish(run, {});
      return run;
    }
    request(run, { kind: "start", config, play });
    if (play) follow(run);
    return run;
  }
  function toggle() {
    if (S.guess) return showMe();
    const run = own();
    if (run?.state === "running") stop();
    else if (run) {
      complain("");
      S.cursor = null;
      run.state = "running";
      request(run, { kind: "play" }).then(() => follow(run));
      announce("Training goes on.");
    } else if (begin(true)) announce(`Training starts: ${nameOf(S.config)}.`);
    changed();
  }
  function stop() {
    const run = own();
    if (run?.state !== "running") return;
    run.state = "paused";
    request(run, { kind: "pause" }).then(fillTables);
    announce(`Paused at step ${run.frames.length}.`);
  }
  function single() {
    S.guess = false;
    if (own()?.state === "running") stop();
    const run = own() ?? begin(false);
    if (!run) return;
    S.cursor = null;
    request(run, { kind: "step" }).then(fillTables);
    changed();
  }
  function reset() {
    stop();
    complain("");
    if (S.current?.link) S.runs = S.runs.filter((one) => one !== S.current);
    S.config = { ...S.config, switches: S.config.switches.filter(([step]) => step === 0) };
    Object.assign(S, { current: null, cursor: null, guessed: null, verdict: null });
    settle();
    announce(`Reset. ${summary()}`);
  }
  /** Show the run of the present configuration, if there is one. */
  function settle() {
    const key = keyOf(S.config);
    S.current = S.runs.findLast((run) => run.link && run.link === S.source && keyOf(run.config) === key) ?? recorded(S.config);
    changed();
  }
  /** Change the configuration: a running training starts anew with it, earlier runs stay for comparison. */
  function choose(patch) {
    const playing = own()?.state === "running";
    stop();
    complain("");
    S.config = { ...S.config, switches: S.config.switches.filter(([step]) => step === 0), ...patch };
    if (S.config.shortcut !== "none") S.kind = S.config.shortcut;
    S.config.switches = S.config.switches.filter(([, block]) => block <= blocksOf(S.config));
    Object.assign(S, { cursor: null, verdict: null, guessed: null });
    settle();
    if (playing && begin(true)) changed();
  }
  function pickSource(name) {
    stop();
    S.source = name;
    if (name === "recording" && !recorded(S.config)) {
      const { depth, shortcut } = S.config;
      const near = recordings.find((run) => run.config.depth === depth && run.config.shortcut === shortcut) ?? recordings[0];
      S.config = structuredClone(near.config);
    }
    Object.assign(S, { cursor: null });
    complain("");
    settle();
    announce(`Figures from ${PLACES[name]}. ${summary()}`);
  }
  function flip(block) {
    const on = connections(S.config)[block];
    const run = own();
    const said = `Shortcut of block ${block + 1} ${on ? "cut" : "restored"}`;
    if (run && run.link === "recording" || S.source === "recording") return complain("A recording cannot be changed. Choose “this browser” under “Figures from” to cut a shortcut.");
    if (run && run.frames.length) {
      request(run, { kind: "switch", block: block + 1, connected: !on }).then(changed);
      announce(`${said} from the next step on.`);
    } else {
      const now = connections(S.config);
      now[block] = !on;
      let { shortcut } = S.config;
      if (!now.some(Boolean) && shortcut === "A") shortcut = "none";
      const switches = now.flatMap((one, index) => (one === (shortcut !== "none") ? [] : [[0, index + 1, Number(one)]]));
      choose(switches.length === now.length && shortcut === "none" ? { shortcut: "A", switches: [] } : { shortcut, switches });
      announce(`${said}. ${summary()}`);
    }
  }
  function showMe() {
    S.guessed = [...S.guesses];
    S.guess = false;
    if (!begin(true)) return;
    announce("Training starts; your guess stays as a dotted line.");
    changed();
    view.play.focus();
  }

  // ---- drawing ---------------------------------------------------------------------------------------------
  let blocks = []; // buttons
  let drawn = ""; // the architecture that they stand for
  function buildNetwork() {
    const { depth } = S.config;
    if (drawn === String(depth)) return;
    drawn = String(depth);
    const each = (depth - 2) / 6;
    blocks = [];
    const stages = [0, 1, 2].map((stage) => make("div", { class: "rl-stage" },
      make("div", { class: "rl-row" }, ...Array.from({ length: each }, () => {
        const index = blocks.length;
        const one = make("button", { type: "button", role: "switch", class: "rl-block", tabindex: index ? "-1" : "0", onclick: () => {
          blocks.forEach((other) => (other.tabIndex = other === one ? 0 : -1));
          flip(index);
        } });
        one.innerHTML = '<svg viewBox="0 0 30 16" preserveAspectRatio="none" aria-hidden="true"><path class="rl-arc" d="M1 16V9Q1 3 7 3H23Q29 3 29 9V16"/>'
          + '<path class="rl-cut" d="M1 16V9Q1 3 7 3H9M21 3H23Q29 3 29 9V16"/></svg><span></span>';
        blocks.push(one);
        return one;
      })), make("small", {}, `${4 << stage} channels, ${8 >> stage}×${8 >> stage}`)));
    view.network.replaceChildren(make("div", { class: "rl-end" }, "input"), ...stages, make("div", { class: "rl-end" }, "output"));
    view.network.style.setProperty("--blocks", each > 9 ? each / 2 : each); // wide enough for a finger
  }
  function paintNetwork(scale) {
    buildNetwork();
    const step = S.current ? shownStep() : Infinity;
    const on = connections(S.current?.config ?? S.config, S.cursor === null ? Infinity : step);
    const norms = S.current && step ? frameAt(S.current.frames, step, "norms")?.norms : null;
    blocks.forEach((one, index) => {
      const size = norms ? Math.hypot(norms[2 * index + 1], norms[2 * index + 2]) : NaN;
      const norm = Number.isFinite(size) ? size : null;
      const first = index && index % (blocks.length / 3) === 0;
      const projected = S.config.shortcut === "C" || (S.config.shortcut === "B" && first);
      one.setAttribute("aria-checked", on[index]);
      one.setAttribute("aria-label", `Shortcut of block ${index + 1}`);
      one.title = `Block ${index + 1}: shortcut ${on[index] ? "on" : "cut"}${norm === null ? "" : `, gradient norm ${say(norm)}`}`;
      one.classList.toggle("rl-projected", projected);
      one.lastChild.style.background = norm === null ? "" : `rgb(${viridis(shareOf(norm, scale))})`;
    });
  }
  function paintLegend(box, scale) {
    const key = scale.join();
    if (box.dataset.key === key) return;
    box.dataset.key = key;
    const ticks = Array.from({ length: scale[1] - scale[0] + 1 }, (_, n) => scale[0] + n);
    const colours = Array.from({ length: 9 }, (_, n) => `rgb(${viridis(n / 8)})`).join(",");
    box.replaceChildren(make("span", {}, "gradient norm"), make("div", { class: "rl-ramp", style: `background:linear-gradient(90deg,${colours})` }),
      make("div", { class: "rl-ticks" }, ...ticks.map((tick) => make("span", {}, power(tick)))));
  }
  const twin = (run, runs) => runs.some((one) => one !== run && one.link && run.source === "recording" && keyOf(one.config) === keyOf(run.config));
  const labelOf = (run) => `${{ on: "residual", off: "plain", mixed: "mixed" }[styleOf(run)]}-${run.config.depth}`;

  function fillRuns(runs) {
    const key = JSON.stringify([runs.map((run) => [keyOf(run.config), run.source, run.state, run.state === "running" ? 0 : run.frames.length]), runs.indexOf(S.current)]);
    if (view.runs.dataset.key === key) return;
    view.runs.dataset.key = key;
    const focused = view.runs.contains(document.activeElement);
    view.runs.replaceChildren(...runs.map((run) => {
      const end = run.frames.findLast((frame) => frame.test_error !== undefined);
      const swatch = make("span", { class: "rl-swatch" });
      swatch.innerHTML = sample(`rl-${styleOf(run)}`, "test");
      const radio = make("input", { type: "radio", name: `${id}-run`, onchange: () => {
        stop();
        S.config = structuredClone(run.config);
        if (S.config.shortcut !== "none") S.kind = S.config.shortcut;
        Object.assign(S, { current: run, cursor: null });
        changed();
        announce(summary());
      } });
      radio.checked = run === S.current;
      return make("li", {}, make("label", {}, radio, swatch, make("span", { class: "rl-run-name" }, nameOf(run.config)),
        make("span", { class: "rl-soft" }, `rate ${run.config.learning_rate}, seed ${run.config.seed}, ${run.source === "recording" ? "recording" : PLACES[run.source]}`),
        make("span", { class: "rl-run-end" }, run.state === "running" ? (run.source === "recording" ? "replaying …" : "training …") : end ? `${percent(end.test_error)} % test error` : count(run.frames.length))),
      run.link && run.state !== "running" ? button("×", () => {
        S.runs = S.runs.filter((one) => one !== run);
        if (S.current === run) S.current = null, settle();
        else draw();
      }, { class: "rl-button rl-small", title: "Remove this run", "aria-label": `Remove the run: ${nameOf(run.config)}` }) : null);
    }));
    if (focused) view.runs.querySelector("input:checked, input")?.focus();
  }
  function fillTables() {
    if (view.details.open && S.current?.frames.length && !S.guess) view.tables.replaceChildren(...tables(S.current, nameOf(S.current.config), shownStep()));
    else if (view.details.open) view.tables.replaceChildren(make("p", {}, "Nothing trained yet."));
  }

  let pending = false;
  function draw() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      if (root.isConnected) paint();
    });
  }
  function paint() {
    const run = S.current, { steps } = S.config, step = shownStep();
    const runs = [...S.runs.filter((one) => one !== run), ...(run ? [run] : [])];
    const shown = S.guess ? [] : runs.map((one) => Object.assign(one, { label: twin(one, runs) ? "" : labelOf(one) })); // no name twice
    root.classList.toggle("rl-guessing", S.guess);
    const active = own();
    view.play.textContent = active?.state === "running" ? "❚❚ Pause"
      : active?.frames.length ? "▶ Continue" : S.source === "recording" ? "▶ Replay the recording" : `▶ Train in ${PLACES[S.source]}`;
    view.play.classList.toggle("rl-running", active?.state === "running");
    const on = connections(S.config).some(Boolean);
    view.shortcuts.setAttribute("aria-checked", on);
    view.shortcuts.lastChild.textContent = on ? "on" : "off";
    view.guess.setAttribute("aria-pressed", S.guess);
    for (const [key, control] of Object.entries(fields)) {
      const value = String(key === "source" ? S.source : S.config[key]);
      if (document.activeElement !== control || control.tagName === "SELECT") control.value = value;
      if (key !== "source") {
        control.disabled = S.source === "recording" && !recordings.some((one) => String(one.config[key]) !== value);
        for (const option of control.options ?? []) {
          option.disabled = S.source === "recording" && !recorded({ ...S.config, [key]: readValue(key, option.value)[0], switches: [] });
        }
      }
    }
    view.summary.replaceChildren(make("strong", {}, summary()), " ", make("span", { class: "rl-soft" },
      S.note || (run && !S.guess ? origin(run) : S.guess ? "" : "Press Train: it takes a few seconds.")), S.verdict && !S.guess ? make("span", {}, ` ${S.verdict}`) : "");

    const guessPoints = (values) => [[0, 90], ...values.map((value, index) => [((index + 1) * steps) / GUESSES, value])];
    const guess = S.guess ? guessPoints(S.guesses) : S.guessed ? guessPoints(S.guessed) : null;
    const common = { steps, cursor: S.guess || !run || !step ? null : step };
    view.errorScale = drawChart(errorBox, shown, { ...common, top: 100, ticks: [0, 20, 40, 60, 80, 100], train: "error", test: "test_error", chance: 90, guess });
    drawChart(lossBox, shown, { ...common, top: 3, ticks: [0, 1, 2, 3], train: "loss", test: "test_loss", chance: Math.log(10), guess: null });
    errorBox.setAttribute("aria-label", `Chart of the error. ${summary()}`);
    lossBox.setAttribute("aria-label", "Chart of the loss. The figures are in the tables below.");
    responseBox.setAttribute("aria-label", "Chart of the response sizes. The figures are in the tables below.");
    view.handles.forEach((handle, index) => {
      handle.hidden = !S.guess;
      const at = ((index + 1) * steps) / GUESSES;
      Object.assign(handle.style, { left: `${view.errorScale.x(at)}px`, top: `${view.errorScale.y(S.guesses[index])}px` });
      handle.setAttribute("aria-label", `Expected test error at step ${Math.round(at)}`);
      handle.setAttribute("aria-valuenow", S.guesses[index]);
      handle.setAttribute("aria-valuetext", `${S.guesses[index]} percent`);
    });
    view.guessbar.hidden = !S.guess;

    const last = run?.frames.length ?? 0;
    view.scrub.max = steps;
    view.scrub.disabled = !last || S.guess;
    view.scrub.value = step;
    view.scrub.setAttribute("aria-valuetext", `step ${step} of ${last}`);
    view.at.textContent = S.guess ? "" : `${step} / ${steps}`;

    const scale = decades(shown);
    paintNetwork(scale);
    view.legends.forEach((box) => paintLegend(box, scale));
    drawStrip(view.strip, S.guess ? null : run, steps, scale);
    const norms = step && run && !S.guess ? frameAt(run.frames, step, "norms")?.norms : null;
    const finite = norms?.every(Number.isFinite);
    view.stripText.textContent = norms && finite ? `At step ${step}: smallest ${say(Math.min(...norms))} in layer ${norms.indexOf(Math.min(...norms)) + 1}, largest ${say(Math.max(...norms))} in layer ${norms.indexOf(Math.max(...norms)) + 1}.`
      : norms ? `At step ${step} the gradient is not a number.` : "No gradient yet.";
    view.strip.setAttribute("aria-label", `Gradient norms of ${norms?.length ?? 0} layers. ${view.stripText.textContent}`);
    view.stripLine.style.left = `${(100 * step) / steps}%`;
    view.stripLine.hidden = !step || S.guess;
    drawResponses(responseBox, shown, step || 1);
    fillRuns(runs);
    for (const one of [view.json, view.csv]) one.disabled = !last || S.guess;
  }
  function changed() {
    saveAddressSoon();
    if (own()?.state !== "running") fillTables();
    draw();
  }
  let touched = false; // the address changes only after the reader did something
  const saveAddressSoon = () => touched && saveAddress();

  const hide = () => {
    const run = own();
    if (document.hidden && run?.state === "running" && run.link === "browser") {
      run.waiting = true;
      request(run, { kind: "pause" });
    } else if (!document.hidden && run?.waiting) {
      run.waiting = false;
      run.state = "running";
      request(run, { kind: "play" }).then(() => follow(run));
      announce("Training waited while this tab was hidden, and goes on.", true);
    }
  };
  document.addEventListener("visibilitychange", hide);
  const observer = new ResizeObserver(([{ contentRect: { width } }]) => {
    if (width > 560) view.settings.open = true; // only a narrow screen folds them
    draw();
  });
  observer.observe(root);
  view.settings.open = root.clientWidth > 600;
  settle();
  if (S.cursor !== null && (!S.current || S.cursor >= S.current.frames.length)) S.cursor = null;
  complain(problems.join(" "));
  if (problems.length) announce(problems.join(" "));
  touched = true;
  paint();
  if (mine) root.scrollIntoView({ block: "start" });
  return () => {
    document.removeEventListener("visibilitychange", hide);
    observer.disconnect();
    for (const one of Object.values(links)) one.close();
    links = {};
  };
}
