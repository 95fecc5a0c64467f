// Where figures come from, in a line.

import { dayOf, say } from "./numbers.mjs";

export const PLACES = { browser: "this browser", recording: "recordings", kernel: "the kernel" };

/** The origin of a run. */
export function origin(run) {
  const { speed } = run;
  const { seed, learning_rate: rate } = run.config;
  const settings = `learning rate ${rate}, seed ${seed}`;
  if (run.source === "recording") return `Recording of ${dayOf(run.facts.date)}, ${run.facts.device}, ${settings}.`;
  const where = run.source === "kernel" ? `the kernel (${run.device ?? "device unknown"})` : `this browser (${run.device ?? "starting"})`;
  return `${run.state === "running" ? "Training in" : "Trained in"} ${where}${speed && run.state === "running" ? `, ${say(speed)} steps/s` : ""}, ${settings}.`;
}
