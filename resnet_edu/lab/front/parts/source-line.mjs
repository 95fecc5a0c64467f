// Where figures come from, in a line.

import { dayOf, say } from "./numbers.mjs";

export const PLACES = { browser: "this browser", recording: "recordings", kernel: "the kernel", own: "your network" };

/** The origin of a run. */
export function origin(run) {
  const { speed } = run;
  const { seed, learning_rate: rate } = run.config;
  const settings = `learning rate ${rate}, seed ${seed}`;
  if (run.source === "recording") return `Recording of ${dayOf(run.facts.date)}, ${run.facts.device}, ${settings}.`;
  if (run.source === "own") return `Your network “${run.name}”, trained on ${dayOf(run.date)}${run.device ? ` in ${run.device}` : ""}, ${settings}.`;
  const where = run.source === "kernel" ? `the kernel (${run.device ?? "device unknown"})` : `this browser (${run.device ?? "starting"})`;
  return `${run.state === "running" ? "Training in" : "Trained in"} ${where}${run.from ? ", from the weights of your network" : ""}${speed && run.state === "running" ? `, ${say(speed)} steps/s` : ""}, ${settings}.`;
}
