/**
 * Loops over the numbers of a weight as WebAssembly with vectors of four f32: JavaScript's own products take ten times
 * as long. The module is written here instruction by instruction; every step is rounded to f32 in a fixed order, so
 * that all machines compute the same bits.
 */

type Code = readonly (number | Code)[];

/** LEB128, as WebAssembly writes its integers. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  const rest = value >> 7;
  const isLast = rest === (value & 0x40 ? -1 : 0);
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(rest)];
}

const vector = (operation: number): Code => [0xfd, ...unsigned(operation)];
const at = (offset: number): Code => [0, ...unsigned(offset)];
const get = (local: number): Code => [0x20, local];
const set = (local: number): Code => [0x21, local];
const i32 = (value: number): Code => [0x41, ...signed(value)];
const addI32 = 0x6a;
const [shiftLeft, shiftRight] = [vector(0xab), vector(0xad)];
const [and, or, bitselect] = [vector(0x4e), vector(0x50), vector(0x52)];
const [addF32x4, mulF32x4] = [vector(0xe4), vector(0xe6)];
const splatI32 = vector(0x11);
const load = (offset: number): Code => [vector(0x00), at(offset)];
const loadHalves = (offset: number): Code => [vector(0x04), at(offset)];
const loadSplat: Code = [vector(0x09), at(0)];
const store = (offset: number): Code => [vector(0x0b), at(offset)];
const zeros: Code = [vector(0x0c), new Array<number>(16).fill(0)];
const advance = (local: number, by: Code): Code => [get(local), by, addI32, set(local)];

/** Repeats a body as often as a local says, which counts down to zero; it is more than that at the begin. */
const repeat = (count: number, body: Code): Code => [
  [0x03, 0x40],
  body,
  [get(count), i32(-1), addI32, 0x22, count],
  [0x0d, 0, 0x0b],
];

interface Kernel {
  name: string;
  /** All of them i32. */
  parameters: number;
  /** How many locals of i32 and of vectors follow. */
  words: number;
  vectors: number;
  body: Code;
}

/** Numbers that `widen` and `narrow` take at a time, and columns that `addProduct` does; rows go in pairs. */
export const lanes = 8;
export const tileColumns = 16;

/** (from, to, count / 8): bf16 words as f32. */
function widen(): Kernel {
  const [from, to, count] = [0, 1, 2];
  const half = (i: number): Code => [
    [get(to), get(from), loadHalves(8 * i)],
    [i32(16), shiftLeft, store(16 * i)],
  ];
  const body = repeat(count, [half(0), half(1), advance(from, i32(16)), advance(to, i32(32))]);
  return { name: 'widen', parameters: 3, words: 0, vectors: 0, body };
}

/** (from, to, count / 8): f32 as bf16 words, rounded to nearest and ties to even; what is no number stays none. */
function narrow(): Kernel {
  const [from, to, count, word] = [0, 1, 2, 3];
  const constant = (value: number): Code => [i32(value), splatI32];
  const upper: Code = [get(word), i32(16), shiftRight];
  const rounded: Code = [
    [get(word), constant(0x7fff), vector(0xae)],
    [upper, constant(1), and, vector(0xae), i32(16), shiftRight],
  ];
  const isNaN: Code = [get(word), constant(0x7fffffff), and, constant(0x7f800000), vector(0x3b)];
  const half = (i: number): Code => [
    [get(from), load(16 * i), set(word)],
    [upper, constant(0x40), or, rounded, isNaN, bitselect],
  ];
  const body = repeat(count, [
    [get(to), half(0), half(1), vector(0x86), store(0)],
    [advance(from, i32(32)), advance(to, i32(16))],
  ]);
  return { name: 'narrow', parameters: 3, words: 0, vectors: 1, body };
}

/**
 * (values, stride, rows / 2, columns / 16, factors, rank, down): adds factors A to rows of values, whose bytes are
 * `stride` apart as those of A [rank, ...] are. The sum over the rank is taken in f32 and in order, then added.
 */
function addProduct(): Kernel {
  const [values, stride, rows, columns, factors, rank, down] = [0, 1, 2, 3, 4, 5, 6];
  const [column, value, tile, direction, first, second, left] = [7, 8, 9, 10, 11, 12, 13];
  const [sums, scale, otherScale, part] = [14, 22, 23, 24];
  const four = [0, 1, 2, 3];
  const product = (i: number): Code => [
    [get(direction), load(16 * i), set(part)],
    [get(sums + i), get(part), get(scale), mulF32x4, addF32x4, set(sums + i)],
    [get(sums + 4 + i), get(part), get(otherScale), mulF32x4, addF32x4, set(sums + 4 + i)],
  ];
  const added = (i: number, sum: number): Code => [
    [get(value), get(value), load(16 * i), get(sum), addF32x4, store(16 * i)],
  ];
  const overRank = repeat(left, [
    [get(first), loadSplat, set(scale), get(second), loadSplat, set(otherScale)],
    four.map(product),
    [advance(direction, get(stride)), advance(first, i32(4)), advance(second, i32(4))],
  ]);
  const overColumns = repeat(column, [
    four.map((i) => [zeros, set(sums + i), zeros, set(sums + 4 + i)]),
    [get(tile), set(direction), get(factors), set(first)],
    [get(factors), get(rank), i32(2), 0x74, addI32, set(second), get(rank), set(left)],
    overRank,
    four.map((i) => added(i, sums + i)),
    [advance(value, get(stride))],
    four.map((i) => added(i, sums + 4 + i)),
    // Back to the first row, and on by sixteen numbers.
    [get(value), get(stride), 0x6b, i32(64), addI32, set(value), advance(tile, i32(64))],
  ]);
  const body = repeat(rows, [
    [get(values), set(value), get(down), set(tile), get(columns), set(column)],
    overColumns,
    advance(values, [get(stride), i32(1), 0x74]),
    advance(factors, [get(rank), i32(3), 0x74]),
  ]);
  return { name: 'addProduct', parameters: 7, words: 7, vectors: 11, body };
}

function bytesOf(code: Code): number[] {
  return code.flatMap((part) => (typeof part === 'number' ? [part] : bytesOf(part)));
}

/** A length and so many bytes behind it; a section, a function and a list of the format are of this form. */
const sized = (code: Code): number[] => {
  const bytes = bytesOf(code);
  return [...unsigned(bytes.length), ...bytes];
};
const text = (value: string): Code => sized([...Buffer.from(value)]);
const section = (id: number, entries: readonly Code[]): Code => [id, sized([entries.length, entries])];

/** The binary format of WebAssembly 2.0: types, an imported memory, functions, their names, their bodies. */
function assemble(kernels: readonly Kernel[]): Uint8Array<ArrayBuffer> {
  const [i32Type, v128Type] = [0x7f, 0x7b];
  const code = [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(
      1,
      kernels.map(({ parameters }) => [0x60, parameters, new Array<number>(parameters).fill(i32Type), 0]),
    ),
    section(2, [[text('host'), text('memory'), 0x02, 0, 1]]),
    section(
      3,
      kernels.map((_, i) => [i]),
    ),
    section(
      7,
      kernels.map(({ name }, i) => [text(name), 0, i]),
    ),
    section(
      10,
      kernels.map(({ words, vectors, body }) => {
        const locals = [...(words ? [[words, i32Type]] : []), ...(vectors ? [[vectors, v128Type]] : [])];
        return sized([locals.length, locals, body, 0x0b]);
      }),
    ),
  ];
  return Uint8Array.from(bytesOf(code));
}

/** What of the global object is used here; the types of Node do not have it. */
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
declare const WebAssembly: {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object, imports: Record<string, Record<string, Memory>>) => { exports: unknown };
  Memory: new (limits: { initial: number }) => Memory;
};

/** The kernels and their memory; places and strides are in bytes, counts above zero. */
export interface RowKernels {
  /** Sees that the memory has so many bytes. Views of it from before hold no longer. */
  reserve(bytes: number): void;
  buffer(): ArrayBuffer;
  widen(from: number, to: number, count: number): void;
  narrow(from: number, to: number, count: number): void;
  addProduct(
    values: number,
    stride: number,
    rowPairs: number,
    tiles: number,
    factors: number,
    rank: number,
    down: number,
  ): void;
}

const pageBytes = 65536;
let compiled: object | null = null;

export function createRowKernels(): RowKernels {
  compiled ??= new WebAssembly.Module(assemble([widen(), narrow(), addProduct()]));
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(compiled, { host: { memory } });
  return {
    ...(exports as Pick<RowKernels, 'widen' | 'narrow' | 'addProduct'>),
    buffer: () => memory.buffer,
    reserve(bytes) {
      const missing = bytes - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
    },
  };
}
