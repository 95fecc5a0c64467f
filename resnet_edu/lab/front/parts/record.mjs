// A run as a file: small, checksummed, the same for downloads and for recordings.

const toBase64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** CRC-32 (ISO 3309, as in zlib) of an ASCII text, as eight hexadecimal digits. */
export function crc32(text) {
  let crc = -1;
  for (let n = 0; n < text.length; n++) {
    crc ^= text.charCodeAt(n);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return (~crc >>> 0).toString(16).padStart(8, "0");
}
const checksum = ({ crc32: _, ...rest }) => crc32(JSON.stringify(rest));

// Losses in 1/1000 and errors in 1/100 as 16-bit numbers (65535: not a number, or beyond), sizes on a logarithmic
// scale as bytes (0: zero), 16 to the decade from 1e-10 up: steps of 15 %, finer than a colour shows.
const [LOSS, ERROR, NONE, PER_DECADE, LOWEST] = [1000, 100, 65535, 16, -10];
function packNumbers(values, unit) {
  const words = values.map((value) => (value * unit < NONE ? Math.round(value * unit) : NONE));
  return toBase64(Uint8Array.from(words.flatMap((word) => [word & 255, word >> 8])));
}
function unpackNumbers(text, unit) {
  const bytes = fromBase64(text);
  return Array.from({ length: bytes.length / 2 }, (_, n) => {
    const word = bytes[2 * n] + 256 * bytes[2 * n + 1];
    return word === NONE ? null : word / unit;
  });
}
const packSizes = (rows) => toBase64(Uint8Array.from(rows.flat(), (value) =>
  (value > 0 ? Math.min(255, Math.max(1, Math.round(PER_DECADE * (Math.log10(value) - LOWEST)))) : 0)));
function unpackSizes(text, width) {
  const values = Array.from(fromBase64(text), (byte) => (byte ? 10 ** (byte / PER_DECADE + LOWEST) : 0));
  return Array.from({ length: values.length / width }, (_, row) => values.slice(row * width, (row + 1) * width));
}

/** Pack a run; `facts` are source, device, date, command and versions. Every `sample`-th step keeps its sizes. */
export function packRecord({ config, frames }, facts, sample = 5) {
  const sampled = frames.filter(({ step }) => step % sample === 1 || step === frames.length);
  const tested = frames.filter((frame) => frame.test_loss !== undefined);
  const record = {
    format: "resnet-edu run 1", ...facts, config, steps: frames.length,
    loss: packNumbers(frames.map((frame) => frame.loss), LOSS), error: packNumbers(frames.map((frame) => frame.error), ERROR),
    tested_steps: tested.map(({ step }) => step),
    test_loss: packNumbers(tested.map((frame) => frame.test_loss), LOSS),
    test_error: packNumbers(tested.map((frame) => frame.test_error), ERROR),
    sampled_steps: sampled.map(({ step }) => step),
    layers: frames[0]?.norms.length ?? 0, norms: packSizes(sampled.map(({ norms }) => norms)),
    blocks: frames[0]?.responses.length ?? 0, responses: packSizes(sampled.map(({ responses }) => responses)),
  };
  return { ...record, crc32: checksum(record) };
}

/** Unpack a run; throw an error that says what is wrong with the file. */
export function unpackRecord(record) {
  if (record?.format !== "resnet-edu run 1") throw new Error("this is not a recorded run (format “resnet-edu run 1”)");
  if (checksum(record) !== record.crc32) {
    throw new Error(`its checksum is ${checksum(record)}, the file says ${record.crc32}: it was changed or cut off; record it anew`);
  }
  const [loss, error] = [unpackNumbers(record.loss, LOSS), unpackNumbers(record.error, ERROR)];
  const frames = loss.map((value, index) => ({ step: index + 1, loss: value, error: error[index] }));
  const attach = (steps, key, values) => steps.forEach((step, index) => (frames[step - 1][key] = values[index]));
  attach(record.tested_steps, "test_loss", unpackNumbers(record.test_loss, LOSS));
  attach(record.tested_steps, "test_error", unpackNumbers(record.test_error, ERROR));
  attach(record.sampled_steps, "norms", unpackSizes(record.norms, record.layers));
  attach(record.sampled_steps, "responses", unpackSizes(record.responses, record.blocks));
  return { config: record.config, frames, source: "recording", state: "done", facts: record };
}

/** One line a step: what the charts show, then the gradient norm of each layer and the response of each block. */
export function toCsv({ frames }) {
  const { norms = [], responses = [] } = frames.find((frame) => frame.norms) ?? {};
  const head = ["step", "train_loss", "train_error", "test_loss", "test_error",
    ...norms.map((_, n) => `gradient_norm_${n + 1}`), ...responses.map((_, n) => `response_${n + 1}`)];
  const lines = frames.map((frame) => [frame.step, frame.loss, frame.error, frame.test_loss, frame.test_error,
    ...(frame.norms ?? norms.map(() => "")), ...(frame.responses ?? responses.map(() => ""))]
    .map((value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value ?? "")).join(","));
  return [head.join(","), ...lines].join("\n") + "\n";
}

/** Unpack recorded runs; those that cannot be shown are `problems` in words. */
export function unpackAll(records) {
  const [recordings, problems] = [[], []];
  for (const record of records) {
    try {
      recordings.push(unpackRecord(record));
    } catch (error) {
      problems.push(`A recorded run cannot be shown: ${error.message}.`);
    }
  }
  return { recordings, problems };
}
