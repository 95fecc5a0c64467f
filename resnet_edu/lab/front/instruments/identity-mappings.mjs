// The leak: one factor λ on all shortcuts, and λ^n beside the measured gradient; batch norm and ReLU dragged into the five
// orders of He et al. 2016, Table 2.

import { select, slider, toggle } from "../parts/controls.mjs";
import { Messages } from "../parts/messages.mjs";
import { say } from "../parts/numbers.mjs";
import { Untrained, drawsOf, drawsText, geometric, moreDraws, sizePanel } from "../parts/sizes.mjs";
import { folded, table } from "../parts/table.mjs";
import { Trained } from "../parts/trained.mjs";
import { html, show } from "../parts/ui.mjs";

const DEPTH = 56;
const PLACES = ["first", "last", "behind"]; // in the branch, or behind the addition
const WHERE = { first: "first in the branch", last: "last in the branch", behind: "behind the addition" };
const ORDERS = { // where the outer batch norm and the outer ReLU stand
  post: ["last", "behind"], "bn-after-addition": ["behind", "behind"], "relu-before-addition": ["last", "last"],
  "relu-only-pre": ["last", "first"], pre: ["first", "first"],
};
const SHORT = { post: "original", "bn-after-addition": "BN after +", "relu-before-addition": "ReLU before +", "relu-only-pre": "ReLU-only pre", pre: "full pre" };
const PARTS = [["BN", "outer batch norm"], ["ReLU", "outer ReLU"]];

class Leak {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    this.messages = new Messages(redraw);
    const shared = { tools, messages: this.messages, redraw };
    Object.assign(this, { data, network: new Untrained(el, shared), trained: new Trained(shared), now: { lambda: 0.8, places: ORDERS.post, normalization: "batch", draws: 4 }, seen: null, open: false });
    this.screen = show(el, () => this.view());
    this.choose({});
  }

  get order() {
    return Object.keys(ORDERS).find((name) => String(ORDERS[name]) === String(this.now.places));
  }

  choose(patch) {
    this.now = { ...this.now, ...patch };
    const { now, order } = this;
    if (order) {
      const ask = [["set", { all: true, shortcut: now.lambda }], ["sizes", {}]];
      const jobs = Array.from({ length: now.draws }, (_, n) => ({ ask, config: { depth: DEPTH, activation: order, normalization: now.normalization, seed: n + 1 } }));
      this.network.ask(jobs, (answers) => {
        const blocks = answers.map(([, sizes]) => sizes.blocks);
        this.seen = {
          now, order, backward: blocks.map((all) => all.map(({ gradient }) => gradient / all.at(-1).gradient)), forward: blocks.map((all) => all.map(({ output }) => output)),
          direct: blocks[0].map((_, n) => now.lambda ** (blocks[0].length - 1 - n)),
        };
        this.messages.announce(this.summary());
      });
    } else this.messages.announce(this.summary());
    this.screen.redraw();
  }

  summary() {
    const { seen, now, order, data } = this;
    if (!order) return `Batch norm ${WHERE[now.places[0]]}, ReLU ${WHERE[now.places[1]]}: the paper did not try this one. Five orders are in its Table 2.`;
    if (!seen) return "A network of 56 layers is being measured …";
    const there = geometric(seen.backward)[0];
    return `${data.names[seen.order]}, λ = ${seen.now.lambda}: from the last block to the first the whole gradient goes ${say(there)}-fold; λ^${seen.direct.length - 1}, its direct path, is ${say(seen.direct[0])}.`;
  }

  /** Move a part by the keyboard, from place to place. */
  press(event, part) {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -2, End: 2 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.put(part, PLACES[Math.min(2, Math.max(0, PLACES.indexOf(this.now.places[part]) + by))]);
  }

  /** Let a part follow the pointer to the nearest of the three places. */
  drag(event, part) {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    else if (!event.buttons) return;
    event.preventDefault();
    const away = (box) => Math.hypot(box.left + box.width / 2 - event.clientX, box.top + box.height / 2 - event.clientY);
    const all = [...event.currentTarget.parentElement.querySelectorAll("[data-place]")];
    const distances = all.map((place) => away(place.getBoundingClientRect()));
    this.put(part, all[distances.indexOf(Math.min(...distances))].dataset.place);
  }

  put(part, place) {
    if (place !== this.now.places[part]) this.choose({ places: this.now.places.map((old, n) => (n === part ? place : old)) });
  }

  /** The block, input left: fixed parts, three places, and the two parts that move; these stay where they are in the document, and keep focus and pointer. */
  block() {
    const { places } = this.now;
    const fixed = (text, order) => html`<span class="rl-fixed" style="order:${order}">${text}</span>`;
    const token = ([text, name], part) => {
      const act = (event) => this.drag(event, part);
      return html`<span class="rl-token" style="order:${10 * PLACES.indexOf(places[part]) + 1 + part}" role="slider" tabindex="0" aria-label="Place of the ${name}" aria-valuemin="1" aria-valuemax="3"
        aria-valuenow=${PLACES.indexOf(places[part]) + 1} aria-valuetext=${WHERE[places[part]]} @keydown=${(event) => this.press(event, part)} @pointerdown=${act} @pointermove=${act}>${text}</span>`;
    };
    return html`<div class="rl-order" role="group" aria-label="The order of a block">${PARTS.map(token)}
      ${PLACES.map((place, n) => html`<span class="rl-place" data-place=${place} style="order:${10 * n}">${place}</span>`)}
      ${["conv", "BN", "ReLU", "conv"].map((text, n) => fixed(text, 5 + n))}${fixed("+ λx", 15)}</div>`;
  }

  charts() {
    const { seen } = this;
    if (!seen || !this.order) return "";
    const words = this.summary();
    return html`<div class="rl-columns">${sizePanel("Backwards", "gradient at each block's output, 1 at the last", `Backwards. ${words}`,
      [{ values: seen.direct, style: "", dotted: true, label: "λⁿ" }, ...drawsOf(seen.backward, "on", "measured")], "block")}
      ${sizePanel("Forwards", "size of each block's output", `Size of each block's output. ${words}`, drawsOf(seen.forward, "on", "measured"), "block")}</div>`;
  }

  table() {
    const { seen } = this;
    const [back, there] = [geometric(seen.backward), geometric(seen.forward)];
    return table("Behind each block", ["Block", "Gradient", "λⁿ", "Size"], back.map((value, n) => [n + 1, say(value), say(seen.direct[n]), say(there[n])]));
  }

  view() {
    const { now, seen, trained, data, order } = this;
    const nameOf = (one) => `${SHORT[one]}${now.lambda === 1 ? "" : `, λ = ${now.lambda}`}${now.normalization === "none" ? ", no BN" : ""}`;
    const setting = (one) => ({ name: nameOf(one), config: { depth: DEPTH, activation: one, normalization: now.normalization, shortcut_gain: now.lambda } });
    const offers = [...(order ? [[`Train ${nameOf(order)}`, [setting(order)]]] : []), ["All five orders", Object.keys(ORDERS).map(setting)]];
    const paper = order ? `${data.names[order]}: ${data.paper[order].join(" and ")} % test error with 110 and 164 layers (He et al. 2016, Table 2).` : "";
    return html`<div class="rl" role="group" aria-label="The leak and the five orders"><p class="rl-title">The leak and the five orders</p>
      <div class="rl-sliders">${slider("λ, on all 27 shortcuts", { low: 0.5, high: 1.1, step: 0.05, now: now.lambda, words: String(now.lambda), move: (lambda) => this.choose({ lambda }) })}</div>
      ${this.block()}<div class="rl-bar">${select("Order", [...(order ? [] : [["", "none of the five"]]), ...Object.keys(ORDERS).map((name) => [name, data.names[name]])], order ?? "", (name) => ORDERS[name] && this.choose({ places: ORDERS[name] }))}
      ${toggle("Batch norm", now.normalization === "batch", () => this.choose({ normalization: now.normalization === "batch" ? "none" : "batch" }))}
      ${moreDraws(now.draws, (draws) => this.choose({ draws }))}</div>
      ${this.messages.view()}<output class="rl-summary" aria-live="off"><strong>${this.summary()}</strong> <span class="rl-soft">${seen && order ? `Computed in this browser, before training, ${drawsText(seen.now.draws)}.` : ""}</span></output>
      ${this.charts()}<p class="rl-key">${paper}</p>
      <p class="rl-title">And does it train?</p>${trained.bar(offers)}${trained.view("Test error after 300 steps, in percent")}
      <p class="rl-key">Option A, ${DEPTH} layers, width 4, learning rate 0.03; the digits.</p>
      ${folded("Figures as a table", this.open, (open) => { this.open = open; this.screen.redraw(); }, () => (seen ? this.table() : ""))}${this.messages.live()}</div>`;
  }
}

export function mount(el, data, tools) {
  const one = new Leak(el, data, tools);
  return () => {
    one.network.close();
    one.trained.close();
    one.screen.close();
  };
}
