// Files for the reader to keep.

import { agent } from "./numbers.mjs";
import { packRecord, toCsv } from "./record.mjs";

/** Offer bytes or a text as a download. */
export function saveBytes(name, content, type = "application/octet-stream") {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

const nameOfFile = ({ config: { depth, shortcut, seed } }, ending) => `resnet-${depth}-${shortcut}-seed-${seed}.${ending}`;

export function saveRecord(run) {
  const record = run.source === "recording" ? run.facts : packRecord(run, {
    name: "download", source: run.source, device: run.source === "browser" ? `${agent()}, ${run.device}` : run.device, date: run.date, command: "the lab", versions: {},
  });
  saveBytes(nameOfFile(run, "json"), JSON.stringify(record, null, 1), "application/json");
}

export const saveCsv = (run) => saveBytes(nameOfFile(run, "csv"), toCsv(run), "text/csv");
