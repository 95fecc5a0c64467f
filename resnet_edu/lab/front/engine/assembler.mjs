// A small WebAssembly assembler: the few instructions that the kernels need, as nested arrays of bytes.
// Numbers are those of the WebAssembly core specification 2.0, section 5.4 (binary format of instructions).

function signed(value) {
  const bytes = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...bytes, byte];
    bytes.push(byte | 128);
  }
}

function unsigned(value) {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
}

const number = (x) => (typeof x === "number" ? [0x41, signed(x)] : x.get ?? x);
const binary = (opcode) => (a, b) => [number(a), number(b), opcode];
const simd = (opcode) => [0xfd, unsigned(opcode)];

// 32-bit integers: addresses, counters and their tests.
export const add = binary(0x6a);
export const sub = binary(0x6b);
export const mul = binary(0x6c);
export const and = binary(0x71);
export const shift = binary(0x75); // to the right, keeping the sign
export const less = binary(0x48);
export const below = binary(0x49); // unsigned: 0 <= a < b in one test
export const isZero = (a) => [number(a), 0x45];

// Four 32-bit floats at once.
const four = (opcode) => (a, b) => [a.get ?? a, b.get ?? b, simd(opcode)];
export const load = (address, offset = 0) => [number(address), simd(0x00), 2, unsigned(offset)];
export const splat = (address, offset = 0) => [number(address), simd(0x09), 2, unsigned(offset)];
export const store = (address, value, offset = 0) => [number(address), value.get ?? value, simd(0x0b), 2, unsigned(offset)];
export const zeros = [simd(0x0c), new Array(16).fill(0)];
export const add4 = four(0xe4);
export const sub4 = four(0xe5);
export const mul4 = four(0xe6);
export const and4 = four(0x4e);
export const greater4 = four(0x44); // all bits where a > b
export const larger4 = four(0xeb); // pmax: b where a < b, else a; what is not a number stays
// a * b + c: in two steps, or in one (relaxed SIMD, which rounds once where the machine can)
export const madd4 = (a, b, c) => add4(mul4(a, b), c);
export const fusedMadd4 = (a, b, c) => [a.get ?? a, b.get ?? b, c.get ?? c, simd(0x105)];
const lane = (a, i) => [a.get, simd(0x1f), i];
const addFloat = (a, b) => [a, b, 0x92];
export const storeSum = (address, a) => [
  number(address),
  addFloat(addFloat(lane(a, 0), lane(a, 1)), addFloat(lane(a, 2), lane(a, 3))),
  [0x38, 2, 0],
];

export const when = (condition, ...body) => [condition, 0x04, 0x40, body, 0x0b];

/** for (i = 0; i < end; i += step) body, which runs at least once */
export const loop = (i, end, step, ...body) => [
  i.set(0), 0x03, 0x40, body, i.set(add(i, step)), less(i, end), 0x0d, 0, 0x0b,
];

/** A function: `write(parameters, local)` returns its body; `local.int()` and `local.float4()` make variables. */
export function define(parameters, write) {
  const types = [];
  const variable = (index) => ({
    get: [0x20, unsigned(index)],
    set: (value) => [number(value), 0x21, unsigned(index)],
  });
  const make = (type) => () => variable(parameters + types.push(type) - 1);
  const names = Array.from({ length: parameters }, (_, index) => variable(index));
  const body = write(names, { int: make(0x7f), float4: make(0x7b) });
  return { parameters, code: [unsigned(types.length), types.map((type) => [1, type]), body, 0x0b] };
}

/** Nested arrays of bytes (and runs of bytes) as one run. */
function flatten(content) {
  let [bytes, length] = [new Uint8Array(256), 0];
  const reserve = (count) => {
    if (length + count <= bytes.length) return;
    const before = bytes;
    bytes = new Uint8Array(2 * (length + count));
    bytes.set(before);
  };
  const append = (one) => {
    if (typeof one === "number") {
      if (length === bytes.length) reserve(1);
      bytes[length++] = one;
    } else if (one instanceof Uint8Array) {
      reserve(one.length);
      bytes.set(one, length);
      length += one.length;
    } else for (let n = 0; n < one.length; n++) append(one[n]);
  };
  append(content);
  return bytes.subarray(0, length);
}

/** Assemble functions into the bytes of a module that imports `env.memory` and exports them by name. */
export function assemble(functions) {
  const sized = (content) => {
    const bytes = flatten(content);
    return [unsigned(bytes.length), bytes];
  };
  const text = (name) => sized([...name].map((letter) => letter.charCodeAt(0)));
  const section = (id, content) => [id, sized(content)];
  const list = (items) => [unsigned(items.length), items];
  const all = Object.values(functions);
  return flatten([
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(1, list(all.map(({ parameters }) => [0x60, list(new Array(parameters).fill(0x7f)), 0]))),
    section(2, list([[text("env"), text("memory"), 2, 0, 1]])),
    section(3, list(all.map((_, index) => index))),
    section(7, list(Object.keys(functions).map((name, index) => [text(name), 0, unsigned(index)]))),
    section(10, list(all.map(({ code }) => sized(code)))),
  ]);
}
