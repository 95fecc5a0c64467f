// Files for the reader to keep.

import { agent } from "./numbers.mjs";
import { packRecord, toCsv } from "./record.mjs";

/** Offer `text` as a download. */
export function save(name, text, type = "application/json") {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

const nameOfFile = ({ config: { depth, shortcut, seed } }, ending) => `resnet-${depth}-${shortcut}-seed-${seed}.${ending}`;

export function saveRecord(run) {
  const record = run.source === "recording" ? run.facts : packRecord(run, {
    name: "download", source: run.source, device: run.source === "browser" ? `${agent()}, ${run.device}` : run.device, date: run.date, command: "the lab", versions: {},
  });
  save(nameOfFile(run, "json"), JSON.stringify(record, null, 1));
}

export const saveCsv = (run) => save(nameOfFile(run, "csv"), toCsv(run), "text/csv");
