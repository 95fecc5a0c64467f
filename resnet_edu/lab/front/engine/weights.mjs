// Networks as files, out and in: safetensors (https://github.com/huggingface/safetensors, "Format"), with the names and
// layouts of the PyTorch network, so that resnet_edu.lab.load_network and any other reader can open them.

import { ORDERS } from "./net.mjs";

const LIMIT = 64e6; // bytes; the largest network of the lab has 0.2 MB
const VERSION = 1;
const ARCHITECTURE = ["depth", "shortcut", "normalization", "activation", "width"];

/** The PyTorch network's name of one of ours: "block3.bn1.weight" is "layer1.2.bn1.weight" where a stage has 3 or more. */
function torchName(name, depth) {
  const count = (depth - 2) / 6;
  return name.replace(/^bn_last/, "final_bn").replace(/^block(\d+)/, (_, text) => {
    const index = Number(text) - 1;
    return `layer${Math.floor(index / count) + 1}.${index % count}`;
  });
}

/** Everything that a file holds, by PyTorch's names: `read()` returns numbers in its order, `write(numbers)` takes them. */
function entries(net) {
  const { depth } = net.config;
  const plain = (array) => ({ read: () => Float32Array.from(array), write: (numbers) => array.set(numbers) });
  const found = new Map();
  for (const one of net.parameters) {
    const { k, inputs, channels, data } = one;
    if (!k) {
      found.set(torchName(one.name, depth), { shape: one.shape ?? [one.count], ...plain(data) });
      continue;
    }
    const taps = k * k; // (k, k, C_in, C_out) here, (C_out, C_in, k, k) there
    const place = (n) => ((n % taps) * inputs + (Math.floor(n / taps) % inputs)) * channels + Math.floor(n / (taps * inputs));
    found.set(torchName(one.name, depth), {
      shape: [channels, inputs, k, k],
      read: () => Float32Array.from(data, (_, n) => data[place(n)]),
      write: (numbers) => numbers.forEach((value, n) => { data[place(n)] = value; }),
    });
  }
  for (const { name, mean, variance } of net.statistics) {
    const base = torchName(name, depth);
    found.set(`${base}.running_mean`, { shape: [mean.length], ...plain(mean) });
    found.set(`${base}.running_var`, { shape: [variance.length], ...plain(variance) });
  }
  return found;
}

/** Return a network as a file (an ArrayBuffer); `facts` go into its header: name, date, errors, versions … */
export function packNetwork(net, facts = {}) {
  if (net.config.bug !== "none") throw new Error("a network with a planted bug cannot be stored: it would load as another one");
  if (net.config.task !== "classify") throw new Error(`a ${net.config.task} cannot be stored: it is no classifier; train a network of the lab`);
  const blocks = net.blocks.map(({ connected, branchGain, shortcutGain }) => ({ connected, branch: branchGain, shortcut: shortcutGain }));
  const about = { version: VERSION, ...facts, config: net.config, blocks };
  const header = { __metadata__: { format: "pt", resnet_edu: JSON.stringify(about) } };
  const parts = [];
  let offset = 0;
  for (const [name, { shape, read }] of entries(net)) {
    const numbers = read();
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset += numbers.byteLength] };
    parts.push(numbers);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = (text.length + 7) & ~7; // numbers begin at a multiple of eight; blanks fill up
  const file = new Uint8Array(8 + length + offset).fill(32, 8, 8 + length);
  new DataView(file.buffer).setUint32(0, length, true);
  file.set(text, 8);
  let at = 8 + length;
  for (const numbers of parts) {
    file.set(new Uint8Array(numbers.buffer), at); // little-endian, as every browser's machine
    at += numbers.byteLength;
  }
  return file.buffer;
}

const bad = (why) => new Error(`This is not a network of the lab: ${why}. Choose a file that the lab has exported.`);

/** The header of a safetensors file, and where its numbers begin. */
function readHeader(bytes) {
  if (bytes.length < 10 || bytes.length > LIMIT) throw bad(`it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const length = view.getUint32(0, true);
  if (view.getUint32(4, true) || length > bytes.length - 8) throw bad("its header is cut off or damaged");
  try {
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
    const metadata = JSON.parse(header.__metadata__.resnet_edu);
    if (metadata.version !== VERSION) throw new Error(`it is of version ${metadata.version}, and this page reads version ${VERSION}`);
    return { header, metadata, start: 8 + length };
  } catch (error) {
    throw bad(error.message.startsWith("it is of") ? error.message : "its header cannot be read");
  }
}

/** Settings of a file that are sound; what is not is an error, since a network is built from them. */
function checkSettings({ config, blocks }) {
  const one = (name, allowed) => {
    if (!allowed.includes(config?.[name])) throw bad(`its ${name} is ${JSON.stringify(config?.[name])}`);
  };
  one("shortcut", ["A", "B", "C", "none"]);
  one("normalization", ["batch", "none"]);
  one("activation", Object.keys(ORDERS));
  one("depth", Array.from({ length: 33 }, (_, n) => 6 * n + 8));
  one("width", [4, 8, 16, 32]);
  const sound = (block) => typeof block?.connected === "boolean" && Number.isFinite(block.branch) && Number.isFinite(block.shortcut);
  if (!Array.isArray(blocks) || blocks.length !== (config.depth - 2) / 2 || !blocks.every(sound)) throw bad("its list of blocks is damaged");
}

/**
 * Read a file (an ArrayBuffer or bytes): `metadata` ({ version, config, blocks, … }), `tensors` (a Map from name to
 * { shape, data }) and `settings`, those of the configuration that the weights depend on. Throws for a damaged file.
 */
export function readNetwork(file) {
  const bytes = ArrayBuffer.isView(file) ? new Uint8Array(file.buffer, file.byteOffset, file.byteLength) : new Uint8Array(file);
  const { header, metadata, start } = readHeader(bytes);
  checkSettings(metadata);
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: [from, to] = [] } = entry ?? {};
    const whole = (n) => Number.isInteger(n) && n >= 0;
    const count = Array.isArray(shape) && shape.every(whole) ? shape.reduce((product, n) => product * n, 1) : -1;
    if (dtype !== "F32" || ![from, to].every(whole) || to - from !== 4 * count || start + to > bytes.length) throw bad(`its entry ${name} is damaged`);
    const data = new Float32Array(bytes.slice(start + from, start + to).buffer);
    if (!data.every(Number.isFinite)) throw bad(`${name} holds numbers that are not finite`);
    tensors.set(name, { shape, data });
  }
  const settings = Object.fromEntries(ARCHITECTURE.map((name) => [name, metadata.config[name]]));
  return { metadata, tensors, settings };
}

/** Give a network the weights, statistics, cuts and factors of a file that was read. */
export function fillNetwork(net, { metadata, tensors }) {
  for (const [name, { shape, write }] of entries(net)) {
    const found = tensors.get(name);
    if (!found) throw bad(`${name} is missing`);
    if (String(found.shape) !== String(shape)) throw bad(`${name} has the shape (${found.shape}) and should have (${shape})`);
    write(found.data);
  }
  net.blocks.forEach((block, index) => {
    const { connected, branch, shortcut } = metadata.blocks[index];
    Object.assign(block, { connected, branchGain: branch, shortcutGain: shortcut });
  });
}
