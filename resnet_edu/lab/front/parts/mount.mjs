// Instruments in a page: each is a box with a figure for those without JavaScript, and its settings as JSON.

import { operated } from "./answers.mjs";

const loading = new Map(); // promises of scripts, by name

/** What the scripts of this version share: `base` is where they lie, `more` instruments need further parts; a `notebook` keeps its address to itself. */
export const shelf = { instruments: {}, engine: null, digits: null, bank: null, base: null, more: [], notebook: false };

/** Load one of the book's scripts; at once if it is there. */
function load(name) {
  if (!shelf.base) return Promise.reject(new Error(`${name} is not part of this page`));
  if (!loading.has(name)) {
    loading.set(name, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(`lab-${name}.js`, shelf.base).href;
      script.async = false; // they run in the order in which they are asked for
      script.onload = resolve;
      script.onerror = () => {
        loading.delete(name);
        reject(new Error(`${script.src} could not be loaded`));
      };
      document.head.append(script);
    }));
  }
  return loading.get(name);
}

/** The engine's script and the digits, loaded at the first use. */
async function engine() {
  if (!shelf.engine) await load("engine");
  return { engine: shelf.engine, digits: shelf.digits };
}

/** The run bank (resnet_edu/lab/records.py), loaded at the first use. */
async function bank() {
  if (!shelf.bank) await load("bank");
  return shelf.bank;
}

async function instrument(name) {
  if (!Object.hasOwn(shelf.instruments, name)) await Promise.all([shelf.more.includes(name) ? load("parts") : null, load(name)]);
  return shelf.instruments[name];
}

/** Mount `name` into `el`, once; returns a promise of what ends it. `tools` add to those of a page. */
export async function mountIn(el, name, data, tools = {}) {
  const { mount } = await instrument(name);
  return mount(el, data, { engine, bank, mountIn, ...tools });
}

/** Say in `el`, beside what stands there, why an instrument could not start. */
function excuse(el, error) {
  const words = document.createElement("p");
  words.setAttribute("role", "alert");
  words.textContent = `The lab could not start: ${error.message}`;
  el.append(words);
}

const ASKING = ["predict", "recall", "progress"]; // what asks the reader; all others are operated
const CONTROLS = "button, input, select, summary, canvas, [role]";

/** Remember that an instrument of this chapter was used, at the first press or change. */
function watch(box, name) {
  const [, chapter] = /([^/]+)\.html$/.exec(location.pathname) ?? [];
  if (!chapter || shelf.notebook || ASKING.includes(name)) return;
  const used = ({ target }) => {
    if (!target.closest(CONTROLS)) return;
    box.removeEventListener("click", used);
    box.removeEventListener("input", used);
    operated(chapter);
  };
  box.addEventListener("click", used);
  box.addEventListener("input", used);
}

async function mountOne(el) {
  const box = document.createElement("div");
  try {
    const data = JSON.parse(el.querySelector("script[type='application/json']").textContent);
    el.append(box);
    await mountIn(box, el.dataset.instrument, data, { address: !shelf.notebook });
    watch(box, el.dataset.instrument);
    const figure = el.querySelector(".resnet-lab-figure");
    if (figure) figure.hidden = true;
  } catch (error) {
    box.remove();
    excuse(el, error);
  }
}

const PATIENCE = 4000; // milliseconds for a widget to come

/**
 * In a notebook a live widget may come in the output below: it is shown alone. Where it does not come (no kernel, not run
 * since the notebook was opened, an export) the instrument takes its place.
 */
function standIn(el) {
  const here = el.closest(".jp-OutputArea-child, .output_area"); // JupyterLab, Notebook 7 and exports; nbclassic
  const until = performance.now() + PATIENCE;
  el.style.display = "none";
  const look = () => {
    const below = here?.nextElementSibling;
    const live = [...(below ?? document).querySelectorAll(".rl, .widget-vbox")].some((one) => !one.closest(".resnet-lab"));
    const failed = /Error displaying|not found/.test(below?.textContent ?? "");
    if (live) el.style.display = "none";
    else if ((failed || performance.now() > until) && el.style.display) {
      el.style.display = "";
      if (below) below.style.display = "none";
      if (!("mounted" in el.dataset)) {
        el.dataset.mounted = "";
        mountOne(el);
      }
    }
    if (below && live) below.style.display = "";
    if (el.isConnected && performance.now() < until + 60000) setTimeout(look, live ? 1000 : 200);
  };
  look();
}

/** Mount every instrument of the page that is not mounted yet; one that fails keeps its figure and says why. */
export function mountAll() {
  for (const el of document.querySelectorAll(".resnet-lab:not([data-mounted])")) {
    if (!shelf.base && !Object.hasOwn(shelf.instruments, el.dataset.instrument)) continue; // its script comes later
    if (shelf.notebook && "behind" in el.dataset) {
      if (!("waits" in el.dataset)) standIn(el);
      el.dataset.waits = "";
      continue;
    }
    el.dataset.mounted = "";
    mountOne(el);
  }
}
