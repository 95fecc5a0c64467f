// The reader's own networks: kept after training, listed, named, deleted, exported, imported, opened by any instrument.

import { CHOICES, DEFAULTS, nameOf } from "./config.mjs";
import { button } from "./controls.mjs";
import { saveBytes } from "./files.mjs";
import { agent, dayOf, percent } from "./numbers.mjs";
import { packRecord, unpackRecord } from "./record.mjs";
import { browserSource } from "./sources.mjs";
import { keep, list, put, remove } from "./storage.mjs";
import { drawn, html } from "./ui.mjs";

const pages = new Set(); // every list of this page: one that changes storage tells the others

/** Read the header of a network's file (safetensors) and return [header, the text's length]. */
function readHeader(file) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  return [JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length))), length];
}
export const metadataOf = (file) => JSON.parse(readHeader(file)[0].__metadata__.resnet_edu);

/** The same file with another name in it. */
function renamed(file, name) {
  const [header, length] = readHeader(file);
  header.__metadata__.resnet_edu = JSON.stringify({ ...JSON.parse(header.__metadata__.resnet_edu), name });
  let text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(32);
  padded.set(text);
  text = padded;
  const made = new Uint8Array(8 + text.length + file.byteLength - 8 - length);
  new DataView(made.buffer).setBigUint64(0, BigInt(text.length), true);
  made.set(text, 8);
  made.set(new Uint8Array(file, 8 + length), 8 + text.length);
  return made.buffer;
}

const whole = (value) => Number.isInteger(value) && value >= 0;
const areSwitches = (list) => Array.isArray(list) && list.every((one) => Array.isArray(one) && one.length === 3 && one.every(whole));

/** The run that a kept network was, as far as its file tells; throws an error if the lab cannot show such a network. */
export function runOf({ file, name, id }) {
  const { config: given, date, record } = metadataOf(file);
  const config = { ...DEFAULTS, ...given };
  for (const [key, allowed] of Object.entries(CHOICES)) {
    if (!allowed.includes(config[key])) throw new Error(`the lab shows networks with ${key} ${allowed.join(", ")}; this one has ${config[key]}`);
  }
  if (!whole(config.steps) || !areSwitches(config.switches)) throw new Error("its file names steps or switches that are no whole numbers");
  let frames = [];
  try {
    if (record) frames = unpackRecord(record).frames;
  } catch {
    // a changed record: the weights are good, the curves are left out
  }
  return { config, frames, source: "own", link: null, state: "done", date, device: record?.device ?? null, own: id, name, file, speed: 0 };
}

/** Keep the network of a run that has ended, with its curves; `ask` asks the engine that holds it. */
export async function keepNetwork(run, ask) {
  const end = run.frames.findLast((frame) => frame.test_error !== undefined);
  const name = `${nameOf(run.config)}, seed ${run.config.seed}`;
  const device = `${agent()}, ${run.device}`;
  const part = run.frames.slice(-20);
  const facts = {
    name, date: run.date, test_error: end.test_error, train_error: part.reduce((sum, { error }) => sum + error, 0) / part.length, device,
    record: packRecord(run, { name: "download", source: "browser", device, date: run.date, command: "the lab", versions: {} }),
  };
  const file = await ask("export", { facts });
  const { test_error, train_error } = facts;
  run.own = await keep({ name, date: run.date, config: run.config, test_error, train_error, file });
  run.file = file;
}

/** `tools` are those that an instrument is mounted with; `open(entry)` shows a kept network there; `listed`: it lists them from the start. */
export class OwnNetworks {
  constructor({ tools, messages, redraw, open, listed = false }) {
    Object.assign(this, { tools, messages, redraw, open, listed, entries: [], shown: false, naming: null });
    this.refresh = (fault = (error) => this.fault("Your networks cannot be read", error)) => list().then((entries) => Object.assign(this, { entries }), fault).then(redraw);
    pages.add(this);
    if (listed) this.refresh(() => {}); // nothing was asked for yet: a fault is told at the first use
  }

  fault(what, error) {
    this.messages.complain(`${what}: ${error.message.replace(/\.$/, "")}. Everything else works.`);
    this.messages.announce(this.messages.complaint);
  }

  async change(what, work) {
    try {
      await work();
    } catch (error) {
      this.fault(what, error);
    }
    for (const one of pages) if (one.shown || one.listed) one.refresh(one.shown ? undefined : () => {});
  }

  /** Keep the network of a run that has ended, with its curves; `runner` holds it. */
  keep(run, runner) {
    return this.change("This network could not be kept", () => keepNetwork(run, (...asked) => runner.question(...asked)));
  }

  async take(picked) {
    if (!picked) return;
    await this.change(`“${picked.name}” cannot be opened`, async () => {
      const file = await picked.arrayBuffer();
      const { engine, digits } = await this.tools.engine();
      const source = browserSource(engine, digits);
      try {
        const { config, facts } = await source.question("open", { file: file.slice(0) });
        const name = String(facts.name ?? picked.name.replace(/\.safetensors$/, "")).slice(0, 80);
        const number = (value) => (Number.isFinite(value) ? value : null);
        await keep({ name, date: String(facts.date ?? new Date().toISOString()), config, test_error: number(facts.test_error), train_error: number(facts.train_error), file });
      } finally {
        source.close();
      }
      this.messages.announce(`Imported: ${picked.name}.`);
    });
  }

  rename(entry, text) {
    const name = text.trim().slice(0, 80) || entry.name;
    this.naming = null;
    return this.change("The name could not be kept", () => put({ ...entry, name, file: renamed(entry.file, name) }));
  }

  show(entry) {
    try {
      this.open(entry);
    } catch (error) {
      this.fault("It cannot be opened here", error);
    }
  }

  /** One line of the list. */
  line(entry, current) {
    const errors = entry.test_error === null ? "" : `${percent(entry.test_error)} % test error`;
    const name = this.naming === entry.id
      ? html`<input class="rl-link" aria-label="New name" .value=${entry.name} ${drawn((field) => field === document.activeElement || (field.focus(), field.select()))}
          @change=${({ target }) => this.rename(entry, target.value)} @blur=${() => { this.naming = null; this.redraw(); }}>`
      : html`<span class="rl-run-name">${entry.name}</span>`;
    return html`<li>${name}<span class="rl-soft">${dayOf(entry.date)}${entry.id === current ? ", shown" : ""}</span><span class="rl-run-end">${errors}</span>
      ${button("Open", () => this.show(entry), { label: `Open: ${entry.name}`, disabled: entry.id === current })}
      ${button("Name", () => { this.naming = entry.id; this.redraw(); }, { label: `Name anew: ${entry.name}` })}
      ${button("Export", () => saveBytes(`${entry.name.replace(/[^\w-]+/g, "-")}.safetensors`, entry.file), { label: `Export: ${entry.name}` })}
      ${button("×", () => this.change("It could not be deleted", () => remove(entry.id)), { small: true, title: "Delete", label: `Delete: ${entry.name}` })}</li>`;
  }

  /** A fold with the list; `current` is the id of the network that the instrument shows. */
  view(current) {
    return html`<details @toggle=${({ target }) => {
      if (target.open && !this.shown) this.refresh();
      this.shown = target.open;
    }}><summary>Your networks</summary>
      <p class="rl-key">What you train here stays in this browser, the last ten. Export one to use it in Python: <code>resnet_edu.lab.load_network(file)</code>.</p>
      <ul class="rl-runs rl-own">${this.entries.map((entry) => this.line(entry, current))}</ul>${this.entries.length ? "" : html`<p>None yet: train one to its end, or import a file.</p>`}
      <label class="rl-button rl-import">Import a file<input type="file" accept=".safetensors" @change=${({ target }) => this.take(target.files[0]).then(() => (target.value = ""))}></label></details>`;
  }

  close() {
    pages.delete(this);
  }
}
