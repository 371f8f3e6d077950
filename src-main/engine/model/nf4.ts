import { asFloat32 } from '../../formats/files/floats.ts';
import type { StoredNf4 } from '../../formats/model/bitsandbytes.ts';
import { dynamicMap, midpoints } from '../graph/dynamicMap.ts';

/** Numbers that share a scale. */
export const nf4Block = 64;
/** Blocks whose scales are quantized together. */
export const nf4Group = 256;

/**
 * The 16 numbers of NF4: quantiles of the normal distribution, divided by the greatest (Dettmers et al. 2023, "QLoRA",
 * section 3 and appendix E; the values are bitsandbytes').
 */
export const nf4Entries: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
  -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
  0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];

/** The numbers of which scales are made, in f32. */
export const nf4ScaleMap: readonly number[] = dynamicMap(true).map(Math.fround);

/**
 * A weight in NF4 with double quantization, 4.127 bits a number. Number i is entry codes_i times the scale of its
 * block; a scale is its entry of the dynamic map times the scale of its group, plus an offset.
 */
export interface Nf4 {
  /**
   * [blocks, 32]: numbers j and j + 32 of a block in the upper and the lower half of a byte. (bitsandbytes has
   * neighbours there; halves of a block are widened without being interleaved.)
   */
  codes: Uint8Array;
  /** [groups, 256]; the end is padded, as that of `codes`. Null: the scales of blocks are kept in f32. */
  scaleCodes: Uint8Array | null;
  /** [groups + 1]: the groups' scales, and behind them the offset; [blocks] without groups. */
  scales: Float32Array;
}

/** Blocks and groups of so many numbers. */
export function nf4Sizes(count: number): { blocks: number; groups: number } {
  const blocks = Math.ceil(count / nf4Block);
  return { blocks, groups: Math.ceil(blocks / nf4Group) };
}

const half = nf4Block / 2;
/** The smallest divisor of a block, in f32 as bitsandbytes has it. */
const tiny = Math.fround(1e-38);
const middles = [...midpoints(nf4Entries).map(Math.fround), Infinity];
/** Cells into which [-1, 1] is cut: none has two middles. */
const cells = 64;
const codeBelow = Uint8Array.from({ length: cells + 1 }, (_, cell) =>
  middles.findIndex((middle) => middle >= (2 * cell) / cells - 1),
);
/** The middle behind that code, as `ordered` bits. */
const middleOf = Int32Array.from(codeBelow, (code) => ordered(bitsOf(middles[code]!)));

function bitsOf(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0]!;
}

/** Whole numbers in the order of the f32 whose bits are given. */
function ordered(bits: number): number {
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

/**
 * A stored weight in NF4, with the numbers of bitsandbytes' quantize_4bit (quant_type nf4, blocksize 64,
 * compress_statistics), whose nearest entry of a scale its kernel for f32 on processors only approximates. A few
 * thousand numbers at a time are there in f32. A number that is not finite makes all of the weight NaN, so that the
 * training sees it.
 *
 * @param bytes as safetensors stores them @param dtype as it names that
 */
export function toNf4(bytes: Uint8Array, dtype: string): Nf4 & { scaleCodes: Uint8Array } {
  const size = dtype === 'F32' ? 4 : 2;
  const count = bytes.byteLength / size;
  const { blocks, groups } = nf4Sizes(count);
  const codes = new Uint8Array(blocks * half);
  const greatest = new Float32Array(blocks);
  const atATime = 1024 * nf4Block;
  for (let start = 0; start < count; start += atATime) {
    const end = Math.min(count, start + atATime);
    const values = asFloat32(bytes.subarray(start * size, end * size), dtype);
    const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
    for (let at = 0; at < values.length; at += nf4Block) {
      const number = (start + at) / nf4Block;
      greatest[number] = toBlock(values, bits, at, codes, number * half);
    }
  }
  return { codes, ...toScales(greatest, groups) };
}

/** The numbers of a block over the greatest magnitude, and their bits. */
const shares = new Float32Array(nf4Block);
const shareBits = new Int32Array(shares.buffer);

/**
 * @param values of the block begin at `at`; behind their end it is padded @param place of its bytes in `codes`
 * @returns the greatest magnitude
 */
function toBlock(
  values: Float32Array,
  bits: Int32Array,
  at: number,
  codes: Uint8Array,
  place: number,
): number {
  const count = Math.min(nf4Block, values.length - at);
  // Magnitudes are in the order of their bits, with NaN last.
  let most = 0;
  for (let i = 0; i < count; i++) {
    const magnitude = bits[at + i]! & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  }
  shareBits[0] = most;
  const greatest = shares[0]!;
  const divisor = Math.max(greatest, tiny);
  const factor = Math.fround(1 / divisor);
  if (count === nf4Block) for (let i = 0; i < nf4Block; i++) shares[i] = values[at + i]! * factor;
  else {
    // A block that ends early is divided instead of multiplied.
    shares.fill(0);
    for (let i = 0; i < count; i++) shares[i] = values[at + i]! / divisor;
  }
  for (let i = 0; i < half; i++) codes[place + i] = (nearestEntry(i) << 4) | nearestEntry(i + half);
  return greatest;
}

/**
 * Index of the entry nearest to a share, the lower one in the middle between two. Compared are bits, without a branch:
 * half of the branches would be foretold wrong, which took most of the time.
 */
function nearestEntry(i: number): number {
  const cell = ((shares[i]! + 1) * (cells / 2)) | 0;
  return codeBelow[cell]! + ((middleOf[cell]! - ordered(shareBits[i]!)) >>> 31);
}

const scaleMiddles = midpoints(nf4ScaleMap);

function toScales(greatest: Float32Array, groups: number): { scaleCodes: Uint8Array; scales: Float32Array } {
  const scaleCodes = new Uint8Array(groups * nf4Group);
  const scales = new Float32Array(groups + 1);
  const mean = greatest.reduce((sum, scale) => sum + scale, 0) / greatest.length;
  const offset = Number.isFinite(mean) ? Math.fround(mean) : Number.NaN;
  scales[groups] = offset;
  for (let group = 0; group < groups; group++) {
    const shifted = greatest
      .subarray(group * nf4Group, (group + 1) * nf4Group)
      .map((scale) => scale - offset);
    const most = shifted.reduce((size, value) => Math.max(size, Math.abs(value)), 0);
    scales[group] = most;
    shifted.forEach((value, i) => {
      scaleCodes[group * nf4Group + i] =
        most === 0 ? zeroScale : nearest(scaleMiddles, Math.fround(value / most));
    });
  }
  return { scaleCodes, scales };
}
const zeroScale = nf4ScaleMap.indexOf(0);

/** Number of middles below a value. */
function nearest(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const at = (low + high) >> 1;
    if (sorted[at]! < value) low = at + 1;
    else high = at;
  }
  return low;
}

/** The same by bitsandbytes' own file, whose codes and scales stay as they are; null: its tables are other ones. */
export function storedNf4(stored: StoredNf4): Nf4 | null {
  const isAlike = (own: readonly number[], theirs: Float32Array) =>
    own.every((value, i) => Math.abs(value - theirs[i]!) <= 1e-7);
  const hasGroups = stored.scaleCodes !== null;
  if (!isAlike(nf4Entries, stored.entries)) return null;
  if (hasGroups && !isAlike(nf4ScaleMap, stored.scaleEntries)) return null;
  const { blocks, groups } = nf4Sizes(2 * stored.codes.length);
  const codes = new Uint8Array(blocks * half);
  const code = (i: number) => {
    const byte = stored.codes[i >> 1] ?? 0x77;
    return i & 1 ? byte & 15 : byte >> 4;
  };
  for (let i = 0; i < codes.length; i++) {
    const at = Math.floor(i / half) * nf4Block + (i % half);
    codes[i] = (code(at) << 4) | code(at + half);
  }
  if (stored.scaleCodes === null) return { codes, scaleCodes: null, scales: stored.scales };
  const scaleCodes = new Uint8Array(groups * nf4Group);
  scaleCodes.set(stored.scaleCodes);
  const scales = new Float32Array(groups + 1);
  scales.set(stored.scales);
  scales[groups] = stored.offset;
  return { codes, scaleCodes, scales };
}

/** The scales of blocks, f32 [blocks]. */
export function blockScales({ scaleCodes, scales }: Nf4, blocks: number): Float32Array {
  if (!scaleCodes) return scales;
  const offset = scales.at(-1)!;
  return Float32Array.from({ length: blocks }, (_, block) => {
    const scaled = Math.fround(nf4ScaleMap[scaleCodes[block]!]! * scales[Math.floor(block / nf4Group)]!);
    return scaled + offset;
  });
}

/** The numbers that a weight in NF4 stands for, f32. @param count of them */
export function fromNf4(nf4: Nf4, count: number): Float32Array {
  const { codes } = nf4;
  const { blocks } = nf4Sizes(count);
  const scales = blockScales(nf4, blocks);
  const values = new Float32Array(blocks * nf4Block);
  const entries = Float32Array.from(nf4Entries);
  for (let block = 0; block < blocks; block++) {
    const scale = scales[block]!;
    for (let i = 0; i < half; i++) {
      const byte = codes[block * half + i]!;
      values[block * nf4Block + i] = entries[byte >> 4]! * scale;
      values[block * nf4Block + half + i] = entries[byte & 15]! * scale;
    }
  }
  return values.subarray(0, count);
}
