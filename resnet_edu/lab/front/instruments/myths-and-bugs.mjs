// Detective: a network that runs, with one hidden bug of the museum or none; buy probes, then name it.

import { DEFAULTS } from "../parts/config.mjs";
import { button, panel, select } from "../parts/controls.mjs";
import { Field } from "../parts/field.mjs";
import { logChart } from "../parts/log-chart.mjs";
import { Messages } from "../parts/messages.mjs";
import { count, percent, say } from "../parts/numbers.mjs";
import { sayTime, secondsFor } from "../parts/pace.mjs";
import { endError } from "../parts/seeds.mjs";
import { table } from "../parts/table.mjs";
import { html, show } from "../parts/ui.mjs";

/** What a case may hide (engine/net.mjs): where it fits, what is said of it, the exhibit and the probe that convicts. */
const SUSPECTS = {
  none: { fits: () => true, name: "No bug: it does what it says", why: "Nothing was planted. Its figures differ from the reference’s as another seed’s do." },
  "early stride": { fits: () => true, name: "The first stage strides, and no later one", exhibit: 1, why: "Shapes: all three stages work on 4×4 maps, where 8, 4 and 2 are meant." },
  "relu before addition": { fits: ({ activation }) => activation === "post", name: "A ReLU stands at the end of the branch", exhibit: 2, why: "Sizes: a block with an identity shortcut lowers no value at all, for its branch cannot be negative." },
  "bare projection": { fits: ({ activation, shortcut }) => activation === "post" && shortcut === "B", name: "No batch norm behind the projections", exhibit: 5, why: "Sizes: at blocks 4 and 7 the shortcut is as large as its input happens to be; behind a batch norm it starts near 1." },
  "no last norm": { fits: ({ activation }) => activation === "pre", name: "The last batch norm and ReLU are missing", exhibit: 6, why: "Sizes: what reaches the pooling is the last sum as it is, louder than where a batch norm stands before it." },
  "softmax twice": { fits: () => true, name: "A softmax before the cross-entropy", exhibit: 13, why: "Loss: it never falls below 1.461, the least that probabilities as logits allow, although the error falls." },
  "no eval": { fits: () => true, name: "eval was forgotten when testing", exhibit: 10, why: "Orders: the same test images, sorted by class, give another error, for batch norm judges each by its company." },
};
const PLANS = [{ shortcut: "A", activation: "post" }, { shortcut: "B", activation: "post" }, { shortcut: "A", activation: "pre" }];
const PROBES = {
  shapes: ["Shapes", "the map behind every block"], sizes: ["Sizes", "of branch, shortcut and what reaches the pooling"],
  gradients: ["Gradients", "at every layer’s output"], loss: ["Loss", "on the training batches, step by step"], orders: ["Orders", "the test error, images mixed and sorted by class"],
};
const [STEPS, COINS] = [150, 5];
const BASE = { depth: 20, width: 4, batch_size: 32, learning_rate: 0.03, steps: STEPS };

/** A number from 0 to 1 that depends on two whole numbers alone (mulberry32). */
function lot(seed, turn) {
  let n = (seed + turn * 0x6d2b79f5) | 0;
  n = Math.imul(n ^ (n >>> 15), 1 | n);
  n = (n + Math.imul(n ^ (n >>> 7), 61 | n)) ^ n;
  return ((n ^ (n >>> 14)) >>> 0) / 4294967296;
}

/** The case of a number: the plan that its network says it follows, and the bug. */
export function caseOf(number) {
  const plan = PLANS[Math.floor(3 * lot(number, 1))];
  const fitting = Object.keys(SUSPECTS).filter((bug) => SUSPECTS[bug].fits(plan));
  return { plan, bug: fitting[Math.floor(fitting.length * lot(number, 2))], fitting };
}

/** All that probes can show of the network that was just trained. */
async function examine(ask) {
  const images = { images: 352 }; // whole batches
  const { blocks, layers, features, ...rest } = await ask("sizes");
  const { maps } = await ask("maps", { image: 1500 });
  const lowered = blocks.map((_, index) => {
    const [, shortcut, output] = maps.slice(3 * index + 1, 3 * index + 4);
    return shortcut.values.filter((value, n) => output.values[n] < value - 1e-6).length / output.values.length;
  });
  return {
    ...rest, blocks, layers, features, lowered, described: (await ask("describe")).blocks,
    mixed: (await ask("evaluate", images)).error, sorted: (await ask("evaluate", { ...images, by_class: true })).error,
  };
}

class Detective {
  constructor(el, data, tools) {
    const redraw = () => this.screen?.redraw();
    Object.assign(this, { redraw, messages: new Messages(redraw), number: data.case ?? 1 + Math.floor(9999 * Math.random()), solved: [] });
    this.field = new Field({ tools, messages: this.messages, redraw, after: examine });
    this.reset({ plan: PLANS[1], bug: "bare projection", bought: new Set(["sizes"]), verdict: "example" });
    this.screen = show(el, () => this.view());
    this.field.start(() => this.jobs(0)).then(redraw); // two new networks: no time to speak of
  }

  /** Begin with a case, by its number, or with the example. */
  reset(more = {}) {
    Object.assign(this, { bought: new Set(), accused: "", verdict: null, ...caseOf(this.number), ...more });
    this.field.forget();
  }

  /** The suspect, and a network of the same plan without a bug and with another seed. */
  jobs(steps = STEPS) {
    const seed = this.verdict === "example" ? 1 : this.number;
    const config = { ...BASE, ...this.plan, steps };
    return [{ key: "suspect", config: { ...config, seed, bug: this.bug } }, { key: "reference", config: { ...config, seed: seed + 1 } }];
  }

  get pair() {
    const runs = ["suspect", "reference"].map((key) => this.field.runs.get(key));
    return runs.every((run) => run?.result) ? runs : null;
  }

  get coins() {
    return COINS - this.bought.size;
  }

  open() {
    if (this.verdict) {
      if (this.verdict !== "example") this.number = (this.number % 9999) + 1;
      this.reset();
    }
    return this.field.start(() => this.jobs()).then(() => this.pair && this.messages.announce("Both networks have been trained. Buy a probe."));
  }

  buy(probe) {
    this.bought.add(probe);
    this.messages.announce(`${PROBES[probe][0]}: shown below. ${count(this.coins, "coin")} left.`);
  }

  accuse() {
    const right = this.accused === this.bug;
    this.verdict = right ? "right" : "wrong";
    this.solved.push(right ? this.coins : null);
    this.messages.announce(this.judgement());
  }

  judgement() {
    const { name, exhibit, why } = SUSPECTS[this.bug];
    const truth = `${name}${exhibit ? ` (exhibit ${exhibit})` : ""}. ${why}`;
    if (this.verdict === "example") return `An example, solved: two new networks, one with exhibit 5. ${why}`;
    return this.verdict === "right" ? `Right, with ${count(this.coins, "coin")} left. ${truth}` : `No. It was: ${truth}`;
  }

  evidence(probe) {
    const [suspect, reference] = this.pair;
    const [a, b] = [suspect.result, reference.result];
    const both = (one, other, text = say) => `${text(one)} (${text(other)})`;
    const kept = (index) => (a.described[index].identity ? both(100 * a.lowered[index], 100 * b.lowered[index], (value) => value.toFixed(0)) : "–");
    const shown = {
      shapes: () => table("Channels and map behind each block, reference in brackets", ["Block", "Suspect", "Reference"], a.described.map((one, index) =>
        [one.number, ...[one, b.described[index]].map(({ channels, size }) => `${channels}, ${size}×${size}`)]), true),
      sizes: () => html`${table("Root mean square in each block, reference in brackets", ["Block", "Branch", "Shortcut", "Values lowered, %"], a.blocks.map((one, index) =>
        [index + 1, both(one.branch, b.blocks[index].branch), both(one.shortcut, b.blocks[index].shortcut), kept(index)]), true)}
        <p class="rl-key">What reaches the pooling: ${both(a.features, b.features)}. Values lowered: of one image, those that a block with an identity shortcut makes smaller.</p>`,
      gradients: () => logChart("Gradient at each layer’s output", "layer", [a, b].map(({ layers }, index) => [layers.slice(0, -1).map(({ gradient }) => gradient), 3 * index, ["suspect", "ref."][index]]), [[0, "1"], [1, String(a.layers.length - 1)]]),
      loss: () => html`${logChart("Training loss", "step", [suspect, reference].map(({ frames }, index) => [frames.map(({ loss }) => loss), 3 * index, ["suspect", "ref."][index]]), [[0, "1"], [1, String(STEPS)]])}
        <p class="rl-key">Least loss of a batch: ${both(...[suspect, reference].map(({ frames }) => Math.min(...frames.map(({ loss }) => loss))), (value) => value.toFixed(3))}; test error at the end, %: ${both(endError(suspect), endError(reference), percent)}.</p>`,
      orders: () => table("Test error in percent, reference in brackets", ["Order", "Error"], [["mixed", both(a.mixed, b.mixed, percent)], ["sorted by class", both(a.sorted, b.sorted, percent)]], true),
    };
    if (probe === "gradients" || probe === "loss") return html`<div>${shown[probe]()}</div>`;
    return panel(...PROBES[probe], html`<div class="rl-tables" tabindex="0" role="region" aria-label="Evidence: ${PROBES[probe][0]}">${shown[probe]()}</div>`);
  }

  shop() {
    return html`<div class="rl-bar" role="group" aria-label="Probes">${Object.entries(PROBES).map(([key, [name, what]]) => button(`${name}: 1 coin`, () => this.buy(key), { title: what, disabled: this.bought.has(key) || !this.coins }))}
      <span class="rl-soft">${count(this.coins, "coin")} left</span></div>
      <div class="rl-bar rl-actions">${select("It is", [["", "choose"], ...this.fitting.map((bug) => [bug, SUSPECTS[bug].name])], this.accused, (bug) => { this.accused = bug; this.redraw(); })}
        ${button("Name it", () => this.accuse(), { main: true, disabled: !this.accused })}</div>`;
  }

  view() {
    const { messages, field, plan, verdict, pair, solved } = this;
    const right = solved.filter((coins) => coins !== null);
    const words = verdict ? this.judgement() : pair ? "Both have been trained. Nothing crashed; what is wrong, if anything?" : "Press to train the suspect and a reference of the same plan with another seed.";
    const next = verdict && verdict !== "example" ? (this.number % 9999) + 1 : this.number;
    return html`<div class="rl" role="group" aria-label="Find the bug"><p class="rl-title">Find the bug<small>${verdict === "example" ? "an example" : `case ${this.number}`}${solved.length ? `; ${right.length} of ${solved.length} right, ${count(right.reduce((sum, coins) => sum + coins, 0), "coin")} kept` : ""}</small></p>
      <p class="rl-key">It says: ${BASE.depth} layers, width ${BASE.width}, shortcut ${plan.shortcut}, ${plan.activation}-activation, digits, ${verdict === "example" ? "not trained" : `${STEPS} steps`}.</p>
      ${messages.view()}<output class="rl-summary" aria-live="off"><strong>${words}</strong></output>
      ${pair && !verdict && !field.running ? this.shop() : html`<div class="rl-bar">${this.opener(next)}</div>`}
      <div class="rl-card rl-details"><div class="rl-columns">${pair ? Object.keys(PROBES).filter((probe) => this.bought.has(probe) || (verdict && verdict !== "example")).map((probe) => this.evidence(probe)) : ""}</div></div>
      <p class="rl-key">Trained and measured in this page; figures in brackets are the reference’s. The same number gives the same case to everybody.</p>${messages.live()}</div>`;
  }

  /** The button that trains the next case; while it trains, a stop. */
  opener(number) {
    if (this.field.running) return this.field.bar("", []);
    const seconds = secondsFor(["suspect", "reference"].map(() => ({ ...DEFAULTS, ...BASE })));
    return button(`▶ Train case ${number} (${sayTime(seconds)})`, () => this.open(), { main: true });
  }
}

export function mount(el, data, tools) {
  const detective = new Detective(el, data, tools);
  return () => {
    detective.field.close();
    detective.screen.close();
  };
}
