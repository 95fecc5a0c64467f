// The run bank itself: choose an experiment, a number and its axis; every seed is a point, and every point has a record.

import { Address } from "../parts/address.mjs";
import { button, panel, select, toggle } from "../parts/controls.mjs";
import { saveBytes } from "../parts/files.mjs";
import { dayOf, say } from "../parts/numbers.mjs";
import { statistics } from "../parts/seeds.mjs";
import { folded, table } from "../parts/table.mjs";
import { drawn, html, show } from "../parts/ui.mjs";

const START = { experiment: "depth", number: "train_error", along: "depth", by: "shortcut", log: false, run: null, only: {} };
const UNITS = { train_error: "training error, %", test_error: "test error, %", train_loss: "training loss, nats", test_loss: "test loss, nats" };
const NAMES = { "shortcut=none": "plain", "shortcut=A": "option A", "shortcut=B": "option B", "shortcut=C": "option C" };
const FIXED = { "shortcut=none": "rl-off", "shortcut=A": "rl-on" };
const MARKS = ["M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "M-4-4H4V4H-4Z", "M0-5L5 4H-5Z", "M0-5L5 0L0 5L-5 0Z", "M-4-4L4 4M-4 4L4-4", "M-5 0H5M0-5V5", "M-5-4H5L0 5Z"];
const sorted = (values) => [...new Set(values)].sort((a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))));
const text = (value) => (value === null ? "–" : String(value));
const named = (key, value) => NAMES[`${key}=${value}`] ?? `${key} ${text(value)}`;
const mean = (values) => statistics(values).mean;

function spread(values) {
  const { n, mean: middle, sd } = statistics(values);
  return n ? `${say(middle)}${n > 1 ? ` ± ${say(sd)}` : ""} (n = ${n})` : "–";
}

class Bank {
  constructor(el, data, bank) {
    Object.assign(this, { bank, state: { ...START }, open: false, address: data.address === false ? null : new Address(data.id) });
    const asked = new URLSearchParams(this.address?.read() ?? "");
    const given = Object.fromEntries([...asked].filter(([key]) => key in START && key !== "only" && key !== "log"));
    this.start(bank.experiments.some(({ name }) => name === given.experiment) ? given : {});
    this.screen = show(el, () => this.view());
    if ([...asked].length) el.scrollIntoView({ block: "start" });
  }

  get experiment() {
    return this.bank.experiments.find(({ name }) => name === this.state.experiment) ?? this.bank.experiments[0];
  }

  /** Begin with an experiment, with what fits it of `given`. */
  start(given) {
    this.state = { ...START, experiment: given.experiment ?? START.experiment, only: {} };
    const { settings, numbers, run } = this.experiment;
    const [keys, metrics] = [Object.keys(settings), Object.keys(numbers)];
    const fit = (wanted, offered, other) => (offered.includes(wanted) ? wanted : other);
    this.state.number = fit(given.number, metrics, fit(START.number, metrics, metrics[0]));
    this.state.along = fit(given.along, [...keys, "seed"], fit(START.along, keys, keys[0] ?? "seed"));
    this.state.by = fit(given.by, [...keys, ""], fit(START.by, keys.filter((key) => key !== this.state.along), keys.find((key) => key !== this.state.along) ?? ""));
    this.state.run = fit(given.run, run, null);
  }

  choose(patch) {
    if (patch.experiment) this.start(patch);
    else this.state = { ...this.state, ...patch };
    const { experiment, number, along, by, run } = this.state;
    this.address?.save(new URLSearchParams({ experiment, number, along, by, ...(run ? { run } : {}) }).toString());
    this.screen.redraw();
  }

  of(key, index) {
    return key === "seed" ? this.experiment.seed[index] : this.experiment.settings[key]?.[index];
  }

  /** The numbers of runs that are shown: those that the filters let through. */
  get shown() {
    const { only } = this.state;
    return this.experiment.run.map((_, index) => index).filter((index) => Object.entries(only).every(([key, value]) => this.of(key, index) === value));
  }

  /** Groups of runs, [name, style, runs]; each keeps its form and colour whatever is filtered. */
  groups(runs) {
    const { by } = this.state;
    if (!by) return [["all runs", "", 0, runs]];
    let others = 0;
    return sorted(this.experiment.settings[by]).map((value, index) => {
      const style = FIXED[`${by}=${value}`] ?? `rl-group-${others++ % 5}`;
      return [named(by, value), style, index, runs.filter((one) => this.of(by, one) === value)];
    }).filter(([, , , own]) => own.length);
  }

  view() {
    const { experiment, state, shown: runs } = this;
    const groups = this.groups(runs);
    const keys = Object.keys(experiment.settings);
    const found = (one) => experiment.numbers[state.number]?.[one];
    const rest = keys.filter((key) => key !== state.along && key !== state.by);
    const lost = runs.filter((one) => !Number.isFinite(found(one)));
    const option = (key) => [key, key];
    const filter = (key) => select(`Only ${key}`, [["", "all"], ...sorted(experiment.settings[key]).map((value) => [String(value), text(value)])], key in state.only ? String(state.only[key]) : "", (wanted) => {
      const { [key]: _, ...only } = state.only;
      this.choose({ only: wanted === "" ? only : { ...only, [key]: experiment.settings[key].find((value) => String(value) === wanted) } });
    });
    return html`<div class="rl" role="group" aria-label="Recorded runs"><p class="rl-title">Recorded runs<small>every seed a point; press one to see its record</small></p>
      <div class="rl-settings rl-choices">${select("Experiment", this.bank.experiments.map(({ name, run }) => [name, `${name} (${run.length})`]), experiment.name, (name) => this.choose({ experiment: name }))}
        ${select("Number", Object.keys(experiment.numbers).map((name) => [name, UNITS[name] ?? name]), state.number, (number) => this.choose({ number }))}
        ${select("Along", [...keys, "seed"].map(option), state.along, (along) => this.choose({ along, by: state.by === along ? "" : state.by }))}
        ${select("Grouped by", [["", "nothing"], ...keys.filter((key) => key !== state.along).map(option)], state.by, (by) => this.choose({ by }))}${rest.map(filter)}</div>
      <output class="rl-summary"><strong>${experiment.title}.</strong> ${runs.length} of ${experiment.run.length} runs${lost.length ? `; ${lost.length} without this number, ${lost.filter((one) => experiment.diverged[one]).length} of them diverged` : ""}.
        ${state.run ? `Record: ${state.run}, ${say(found(experiment.run.indexOf(state.run)))}.` : ""} <span class="rl-soft">${experiment.images.join("; ")}. ${experiment.page ? `For the page ${experiment.page}.` : ""}</span></output>
      ${panel(UNITS[state.number] ?? state.number ?? "no number", `along ${state.along}`, html`<div class="rl-chart rl-bank" role="img" aria-label="${runs.length} points. The means and every record are below." @click=${(event) => this.press(event)} ${drawn((box) => this.draw(box, groups))}></div>
        <p class="rl-key">${groups.map(([name, style, mark]) => html`<span class="rl-nowrap"><svg width="16" height="14" aria-hidden="true" class="rl-dot ${style}"><path transform="translate(8 7)" d=${MARKS[mark % MARKS.length]}/></svg> ${name}</span> `)} A stroke is the mean.</p>`)}
      <div class="rl-bar rl-actions">${toggle("Logarithmic", state.log, () => this.choose({ log: !state.log }))}${button("Download CSV", () => this.save(runs))}
        ${select("Record", [["", "choose a run"], ...runs.map((one) => [experiment.run[one], `${experiment.run[one].replaceAll("_", ", ")}: ${say(found(one))}`])], state.run ?? "", (run) => this.choose({ run: run || null }))}</div>
      ${this.record()}${folded("Means as a table", this.open, (open) => { this.open = open; this.screen.redraw(); }, () => this.means(groups))}</div>`;
  }

  means(groups) {
    const { experiment, state } = this;
    const places = sorted(this.shown.map((one) => this.of(state.along, one)));
    const cell = (runs, place) => spread(runs.filter((one) => this.of(state.along, one) === place).map((one) => experiment.numbers[state.number][one]).filter(Number.isFinite));
    return table(`${UNITS[state.number] ?? state.number}: mean ± standard deviation over seeds`, [state.along, ...groups.map(([name]) => name)],
      places.map((place) => [text(place), ...groups.map(([, , , runs]) => cell(runs, place))]));
  }

  draw(box, groups) {
    const { experiment, state } = this;
    const [wide, high, left, right, top, bottom] = [Math.max(260, box.clientWidth), 280, 52, 10, 12, 36];
    const places = sorted(this.shown.map((one) => this.of(state.along, one)));
    const values = this.shown.map((one) => experiment.numbers[state.number]?.[one]).filter((value) => Number.isFinite(value) && (!state.log || value > 0));
    const scale = state.log ? Math.log10 : (value) => value;
    const [low, most] = state.log ? [Math.min(...values.map(scale)), Math.max(...values.map(scale))] : [Math.min(0, ...values), Math.max(...values)];
    const step = (wide - left - right) / places.length;
    const x = (place, group) => left + (places.indexOf(place) + 0.5 + (groups.length > 1 ? (0.7 * group) / (groups.length - 1) - 0.35 : 0)) * step;
    const y = (value) => top + (1 - (scale(value) - low) / (most - low || 1)) * (high - top - bottom);
    let marks = "";
    for (let n = 0; n <= 4; n++) {
      const tick = state.log ? 10 ** (low + (n * (most - low)) / 4) : low + (n * (most - low)) / 4;
      marks += `<line class="rl-grid" x1="${left}" x2="${wide - right}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${left - 6}" y="${y(tick)}" dy=".35em" text-anchor="end">${say(tick)}</text>`;
    }
    const jump = Math.ceil((places.length * 46) / (wide - left));
    places.forEach((place, index) => { if (index % jump === 0) marks += `<text x="${left + (index + 0.5) * step}" y="${high - 20}" text-anchor="middle">${text(place).slice(0, Math.max(5, step / 6.5))}</text>`; });
    this.points = [];
    groups.forEach(([, style, mark, runs], group) => {
      for (const place of places) {
        const own = runs.filter((one) => this.of(state.along, one) === place && values.includes(experiment.numbers[state.number]?.[one]));
        own.forEach((one, index) => {
          const at = [x(place, group) + ((index % 3) - 1) * Math.min(3, step / 12), y(experiment.numbers[state.number][one])];
          this.points.push([...at, experiment.run[one]]);
          marks += `<path class="rl-dot ${style}${experiment.run[one] === state.run ? " rl-chosen" : ""}" transform="translate(${at.map((one) => one.toFixed(1)).join(" ")})" d="${MARKS[mark % MARKS.length]}"/>`;
        });
        const middle = own.length > 1 ? y(mean(own.map((one) => experiment.numbers[state.number][one]))) : null;
        if (middle !== null && Number.isFinite(middle)) marks += `<path class="rl-dot ${style} rl-mean" d="M${x(place, group) - 8} ${middle}h16"/>`;
      }
    });
    box.innerHTML = `<svg viewBox="0 0 ${wide} ${high}" width="${wide}" height="${high}" aria-hidden="true">${marks}<text x="${(left + wide) / 2}" y="${high - 4}" text-anchor="middle">${state.along}</text></svg>`;
  }

  /** A press takes the nearest point, up to a thumb's width away. */
  press({ currentTarget, clientX, clientY }) {
    const area = currentTarget.getBoundingClientRect();
    const far = ([x, y]) => Math.hypot(clientX - area.left - x, clientY - area.top - y);
    const nearest = this.points.reduce((best, one) => (best && far(best) <= far(one) ? best : one), null);
    if (nearest && far(nearest) < 32) this.choose({ run: nearest[2] });
  }

  record() {
    const { experiment, state } = this;
    const one = experiment.run.indexOf(state.run);
    if (one < 0) return "";
    const origin = this.bank.origins[experiment.origin[one]];
    const settings = [...Object.entries(experiment.shared), ...Object.entries(experiment.settings).map(([key, values]) => [key, values[one]])].filter(([, value]) => value !== null);
    const curve = experiment.curves.train_error[one];
    const rows = [["Settings", settings.map(([key, value]) => `${key} ${value}`).join(", ")], ["Seed", experiment.seed[one]], ["Images", `${experiment.images.join("; ")}, checksum ${experiment.checksum.join(", ").slice(0, 12)}`],
      ["Numbers", Object.entries(experiment.numbers).filter(([, values]) => Number.isFinite(values[one])).map(([name, values]) => `${UNITS[name] ?? name}: ${values[one]}`).join("; ")],
      ...(curve.length ? [["Training error by epoch, %", curve.map(say).join(" · ")], ["Test error by epoch, %", experiment.curves.test_error[one].map(say).join(" · ")]] : []),
      ...(experiment.diverged[one] ? [["Diverged", experiment.diverged[one]]] : []),
      ["Made", `${dayOf(experiment.started[one])}, ${experiment.seconds[one]} s, ${origin.device}; PyTorch ${origin.torch}, Python ${origin.python}, resnet_edu ${origin.resnet_edu}, code ${origin.code}`],
      ["Again", experiment.command[one].replace("RUN", state.run)], ["File", `resnet_edu/bank/${experiment.name}/${state.run}.json`]];
    return panel("Record", state.run, html`<dl class="rl-record">${rows.map(([name, words]) => html`<dt>${name}</dt><dd>${words}</dd>`)}</dl>`, "rl-details");
  }

  /** All numbers of the runs shown, a line a run. */
  save(runs) {
    const { experiment } = this;
    const [keys, metrics] = [Object.keys(experiment.settings), Object.keys(experiment.numbers)];
    const cell = (value) => (value === null || value === undefined ? "" : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
    const lines = runs.map((one) => [experiment.name, experiment.run[one], experiment.seed[one], ...keys.map((key) => experiment.settings[key][one]), ...metrics.map((name) => experiment.numbers[name][one]),
      experiment.started[one], this.bank.origins[experiment.origin[one]].device, this.bank.origins[experiment.origin[one]].torch, experiment.diverged[one]]);
    saveBytes(`${experiment.name}.csv`, [["experiment", "run", "seed", ...keys, ...metrics, "started", "device", "torch", "diverged"], ...lines].map((line) => `${line.map(cell).join(",")}\n`).join(""), "text/csv");
  }
}

export async function mount(el, data, tools) {
  const bank = await tools.bank();
  if (!bank.experiments.length) throw new Error("the bank holds no record");
  const one = new Bank(el, { ...data, address: tools.address }, bank);
  return one.screen.close;
}
