// Where figures come from, in a line.

import { dayOf, say } from "./numbers.mjs";
import { sayTime } from "./pace.mjs";

export const PLACES = { browser: "this browser", recording: "recordings", kernel: "the kernel", own: "your network" };

/** What stands there before the first run. */
export const BEFORE = "Press Train: how long it takes stands here after the first steps.";

/** How long a run still takes at its pace, in words; nothing before its first steps. */
export function timeLeft({ state, speed, config, frames }) {
  if (state !== "running" || !speed) return "";
  return `${sayTime((config.steps - frames.length) / speed)} left`;
}

// Without WebAssembly sums run in another order, and without its fused multiply-add each product is rounded, too.
const RECORDED = "WebAssembly SIMD";
const ROUNDED = " This browser's rounding differs from that of the recordings: figures end some points from theirs.";

/** The origin of a run. */
export function origin(run) {
  const { speed } = run;
  const { seed, learning_rate: rate } = run.config;
  const settings = `learning rate ${rate}, seed ${seed}`;
  if (run.source === "recording") return `Recording of ${dayOf(run.facts.date)}, ${run.facts.device}, ${settings}.`;
  if (run.source === "own") return `Your network “${run.name}”, trained on ${dayOf(run.date)}${run.device ? ` in ${run.device}` : ""}, ${settings}.`;
  const where = run.source === "kernel" ? `the kernel (${run.device ?? "device unknown"})` : `this browser (${run.device ?? "starting"})`;
  return `${run.state === "running" ? "Training in" : "Trained in"} ${where}${run.from ? ", from the weights of your network" : ""}${speed && run.state === "running" ? `, ${say(speed)} steps/s, ${timeLeft(run)}` : ""}, ${settings}.${run.source === "browser" && run.device && run.device !== RECORDED ? ROUNDED : ""}`;
}
