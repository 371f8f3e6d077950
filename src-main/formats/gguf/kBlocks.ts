/**
 * Numbers as llama.cpp's Q4_K, Q5_K and Q6_K store them, found by the search that its `llama-quantize` makes where it
 * is given no importance matrix: the same levels and scales, bit for bit. Hence every sum, product and quotient is
 * rounded to f32 in its order. tests/formats/gguf/blocks.test.ts compares with what llama.cpp itself wrote.
 */

const { fround: round, sqrt, abs } = Math;

/** Numbers in a block. */
const blockLength = 256;
/** Numbers of Q4_K and Q5_K that share a scale and a least value, and of Q6_K that share a scale. */
const [partLength, smallLength] = [32, 16];
const step = round(0.1);

/** Rounds to the nearest integer, ties to even, by the last bits of a sum of 1.5 * 2^23. */
const sum = new Float32Array(1);
const bits = new Int32Array(sum.buffer);
function nearest(value: number): number {
  sum[0] = value + 12582912;
  // Beyond 2^22 it goes round, as in llama.cpp.
  return (bits[0]! & 0x7fffff) - 0x400000;
}

function clamped(value: number, least: number, most: number): number {
  return value < least ? least : value > most ? most : value;
}

/** Around which scales a part's is sought: that of its range, with its greatest level moved by so much at first. */
interface PartSearch {
  most: 15 | 31;
  from: number;
  steps: number;
}

const weights = new Float32Array(partLength);
const tried = new Uint8Array(partLength);
/** What was found for the last part: x is about scale * level - least. */
const found = { scale: 0, least: 0 };

/**
 * Levels of 32 numbers, their scale and least value: of several scales that where the sum of w (x - x')^2 is lowest,
 * with scale and least value solved for the levels (least squares), and w = |x| + the root of the mean square.
 */
function fitPart(x: Float32Array, at: number, levels: Uint8Array, to: number, search: PartSearch): void {
  const { most, from, steps } = search;
  let squares = 0;
  for (let i = 0; i < partLength; i++) squares = round(squares + round(x[at + i]! * x[at + i]!));
  const spread = round(sqrt(round(squares / partLength)));
  for (let i = 0; i < partLength; i++) weights[i] = spread + abs(x[at + i]!);

  let [least, greatest] = [x[at]!, x[at]!];
  let ofWeights = weights[0]!;
  let ofNumbers = round(ofWeights * x[at]!);
  for (let i = 1; i < partLength; i++) {
    const value = x[at + i]!;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
    ofWeights = round(ofWeights + weights[i]!);
    ofNumbers = round(ofNumbers + round(weights[i]! * value));
  }
  if (least > 0) least = 0;
  if (greatest === least) {
    levels.fill(0, to, to + partLength);
    [found.scale, found.least] = [0, -least];
    return;
  }
  let inverse = round(most / round(greatest - least));
  let scale = round(1 / inverse);
  let lowest = 0;
  for (let i = 0; i < partLength; i++) {
    const value = x[at + i]!;
    const level = clamped(nearest(round(inverse * round(value - least))), 0, most);
    levels[to + i] = level;
    const off = round(round(round(scale * level) + least) - value);
    lowest = round(lowest + round(weights[i]! * round(off * off)));
  }
  for (let i = 0; i <= steps; i++) {
    // The least value is the best so far, not that of the part.
    inverse = round(round(round(from + round(step * i)) + most) / round(greatest - least));
    let [ofLevels, ofSquares, ofProducts] = [0, 0, 0];
    for (let j = 0; j < partLength; j++) {
      const value = x[at + j]!;
      const level = clamped(nearest(round(inverse * round(value - least))), 0, most);
      tried[j] = level;
      const weighted = round(weights[j]! * level);
      ofLevels = round(ofLevels + weighted);
      ofSquares = round(ofSquares + round(weighted * level));
      ofProducts = round(ofProducts + round(weighted * value));
    }
    const determinant = round(round(ofWeights * ofSquares) - round(ofLevels * ofLevels));
    if (!(determinant > 0)) continue;
    let own = round(round(round(ofWeights * ofProducts) - round(ofNumbers * ofLevels)) / determinant);
    let ownLeast = round(round(round(ofSquares * ofNumbers) - round(ofLevels * ofProducts)) / determinant);
    if (ownLeast > 0) {
      ownLeast = 0;
      own = round(ofProducts / ofSquares);
    }
    let error = 0;
    for (let j = 0; j < partLength; j++) {
      const off = round(round(round(own * tried[j]!) + ownLeast) - x[at + j]!);
      error = round(error + round(weights[j]! * round(off * off)));
    }
    if (error < lowest) {
      levels.set(tried, to);
      [lowest, scale, least] = [error, own, ownLeast];
    }
  }
  [found.scale, found.least] = [scale, -least];
}

const levels = new Uint8Array(blockLength);
const scales = new Float32Array(blockLength / smallLength);
const leasts = new Float32Array(blockLength / partLength);

/** The f16 number nearest to a value, written at `to`. @returns it */
function writeHalf(view: DataView, to: number, value: number): number {
  view.setFloat16(to, value, true);
  return view.getFloat16(to, true);
}

/**
 * Q4_K and Q5_K: 8 parts, whose scales and least values have six bits each and are themselves scaled.
 * @param to where the block begins
 */
export function writePartedBlock(x: Float32Array, at: number, out: DataView, to: number, width: 4 | 5): void {
  const search: PartSearch =
    width === 4 ? { most: 15, from: -1, steps: 20 } : { most: 31, from: -0.5, steps: 15 };
  const parts = blockLength / partLength;
  let [greatestScale, greatestLeast] = [0, 0];
  for (let part = 0; part < parts; part++) {
    fitPart(x, at + part * partLength, levels, part * partLength, search);
    scales[part] = found.scale;
    leasts[part] = found.least;
    if (found.scale > greatestScale) greatestScale = found.scale;
    if (found.least > greatestLeast) greatestLeast = found.least;
  }
  const inverse = greatestScale > 0 ? round(63 / greatestScale) : 0;
  const inverseLeast = greatestLeast > 0 ? round(63 / greatestLeast) : 0;
  const scale = writeHalf(out, to, round(greatestScale / 63));
  const least = writeHalf(out, to + 2, round(greatestLeast / 63));
  for (let part = 0; part < parts; part++) {
    // As bytes: what is below zero, or too much, ends at 63.
    const own = Math.min(63, nearest(round(inverse * scales[part]!)) & 255);
    const ownLeast = Math.min(63, nearest(round(inverseLeast * leasts[part]!)) & 255);
    writeScales(out, to + 4, part, own, ownLeast);
    const [factor, offset] = [round(scale * own), round(least * ownLeast)];
    if (factor === 0) continue;
    for (let i = part * partLength; i < (part + 1) * partLength; i++)
      levels[i] = clamped(nearest(round(round(x[at + i]! + offset) / factor)), 0, search.most);
  }
  const high = to + 16;
  const low = width === 5 ? high + 32 : high;
  for (let i = 0; i < partLength; i++) {
    let fifth = 0;
    for (let pair = 0; pair < parts / 2; pair++) {
      const [one, other] = [levels[64 * pair + i]!, levels[64 * pair + 32 + i]!];
      out.setUint8(low + 32 * pair + i, (one & 15) | ((other & 15) << 4));
      fifth |= ((one >> 4) << (2 * pair)) | ((other >> 4) << (2 * pair + 1));
    }
    if (width === 5) out.setUint8(high + i, fifth);
  }
}

/** Six bits of a part's scale and of its least value into the 12 bytes that begin at `at`, part after part. */
function writeScales(out: DataView, at: number, part: number, scale: number, least: number): void {
  if (part < 4) {
    out.setUint8(at + part, scale);
    out.setUint8(at + part + 4, least);
    return;
  }
  out.setUint8(at + part + 4, (scale & 15) | ((least & 15) << 4));
  out.setUint8(at + part - 4, out.getUint8(at + part - 4) | ((scale >> 4) << 6));
  out.setUint8(at + part, out.getUint8(at + part) | ((least >> 4) << 6));
}

/** Below it a number counts as zero. */
const nothing = round(1e-15);

/** Sums over 16 numbers for their levels at an inverse scale: of x^2 * x * level, and of x^2 * level^2. */
const sums = new Float32Array(2);
function measure(x: Float32Array, at: number, inverse: number): void {
  let [products, squares] = [0, 0];
  for (let i = at; i < at + smallLength; i++) {
    const value = x[i]!;
    const level = clamped(nearest(round(inverse * value)), -32, 31);
    const weight = round(value * value);
    products = round(products + round(round(weight * value) * level));
    squares = round(squares + round(round(weight * level) * level));
  }
  [sums[0], sums[1]] = [products, squares];
}

/**
 * Levels -32..31 (stored with 32 added) of 16 numbers: of several scales that where the sum of x^2 (x - x')^2 is
 * lowest.
 * @returns the scale
 */
function fitSmall(x: Float32Array, at: number, to: number): number {
  let [greatest, size] = [0, 0];
  for (let i = 0; i < smallLength; i++) {
    const own = abs(x[at + i]!);
    if (own > size) [size, greatest] = [own, x[at + i]!];
  }
  if (size < nothing) {
    levels.fill(0, to, to + smallLength);
    return 0;
  }
  let inverse = round(-32 / greatest);
  measure(x, at, inverse);
  let scale = sums[1] === 0 ? 0 : round(sums[0]! / sums[1]!);
  let best = round(scale * sums[0]!);
  for (let i = -9; i <= 9; i++) {
    if (i === 0) continue;
    const other = round(-round(32 + round(step * i)) / greatest);
    measure(x, at, other);
    const [products, squares] = [sums[0]!, sums[1]!];
    if (squares > 0 && round(products * products) > round(best * squares)) {
      inverse = other;
      scale = round(products / squares);
      best = round(scale * products);
    }
  }
  for (let i = 0; i < smallLength; i++)
    levels[to + i] = 32 + clamped(nearest(round(inverse * x[at + i]!)), -32, 31);
  return scale;
}

/** Q6_K: 16 parts with a signed byte for each scale; four bits of the levels, then the two above them. */
export function writeSixBitBlock(x: Float32Array, at: number, out: DataView, to: number): void {
  const parts = blockLength / smallLength;
  let [greatest, size] = [0, 0];
  for (let part = 0; part < parts; part++) {
    const own = fitSmall(x, at + part * smallLength, part * smallLength);
    scales[part] = own;
    if (abs(own) > size) [size, greatest] = [abs(own), own];
  }
  // The block is zeros as it comes.
  if (size < nothing) return;
  const inverse = round(-128 / greatest);
  const scale = writeHalf(out, to + 208, round(1 / inverse));
  for (let part = 0; part < parts; part++) {
    out.setInt8(to + 192 + part, Math.min(127, nearest(round(inverse * scales[part]!))));
    const factor = round(scale * out.getInt8(to + 192 + part));
    if (factor === 0) continue;
    for (let i = part * smallLength; i < (part + 1) * smallLength; i++)
      levels[i] = 32 + clamped(nearest(round(x[at + i]! / factor)), -32, 31);
  }
  for (let half = 0; half < 2; half++)
    for (let i = 0; i < 32; i++) {
      const level = (quarter: number) => levels[128 * half + 32 * quarter + i]!;
      const low = to + 64 * half + i;
      out.setUint8(low, (level(0) & 15) | ((level(2) & 15) << 4));
      out.setUint8(low + 32, (level(1) & 15) | ((level(3) & 15) << 4));
      out.setUint8(
        to + 128 + 32 * half + i,
        (level(0) >> 4) | ((level(1) >> 4) << 2) | ((level(2) >> 4) << 4) | ((level(3) >> 4) << 6),
      );
    }
}
