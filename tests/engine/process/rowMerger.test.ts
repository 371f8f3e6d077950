import { describe, expect, it } from 'vitest';
import { addPlainly, RowMerger } from '../../../src-main/engine/process/rowMerger.ts';
import { asFloat32, asStored, toBfloat16 } from '../../../src-main/formats/files/floats.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

const random = createRandom(3);
const drawn = (count: number, size = 1) =>
  Float32Array.from({ length: count }, () => (2 * random.next() - 1) * size);
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);

/** Rows that fill pairs and tiles, and rows and columns that are left over. */
const shapes = [
  { rows: 6, columns: 64, rank: 4 },
  { rows: 7, columns: 328, rank: 5 },
  { rows: 1, columns: 12, rank: 1 },
  { rows: 3, columns: 33, rank: 16 },
  // More than one part.
  { rows: 301, columns: 528, rank: 3 },
];

describe('an update merged into rows of a weight', () => {
  it.each(shapes)('is added in f32 and rounded once, bit for bit: %o', ({ rows, columns, rank }) => {
    const merger = new RowMerger();
    const update = { up: drawn(rows * rank, 0.1), down: drawn(rank * columns), magnitude: null };
    for (const stored of ['F32', 'BF16', 'F16'])
      for (const dtype of ['F32', 'BF16', 'F16']) {
        const bytes = asStored(drawn(rows * columns), stored);
        const expected = Float32Array.from(asFloat32(bytes, stored));
        addPlainly(
          { values: expected, factors: update.up, down: update.down, columns },
          { rows: [0, rows], from: 0 },
        );
        merger.load({ name: 'w', stored, dtype, columns, update });
        expect(merger.merge(bytes, 0)).toEqual(bytesOf(asStored(expected, dtype)));
      }
  });

  it('is that of the rows, from whichever a block begins', () => {
    const [rows, columns, rank] = [9, 48, 2];
    const merger = new RowMerger();
    const update = { up: drawn(rows * rank), down: drawn(rank * columns), magnitude: drawn(rows, 3) };
    merger.load({ name: 'w', stored: 'F32', dtype: 'F32', columns, update });
    const values = drawn(rows * columns);
    const end = values.slice(5 * columns);
    const whole = merger.merge(bytesOf(values), 0);
    expect(merger.merge(bytesOf(end), 5)).toEqual(whole.subarray(5 * columns * 4));
    // Each row has the length that DoRA trained.
    const merged = new Float32Array(whole.buffer as ArrayBuffer);
    for (let row = 0; row < rows; row++) {
      const own = merged.subarray(row * columns, (row + 1) * columns);
      const length = Math.sqrt(own.reduce((sum, value) => sum + value * value, 0));
      expect(length).toBeCloseTo(Math.abs(update.magnitude[row]!), 5);
    }
  });

  it('rounds every bf16 number as the plain conversion does: zeros, ends of the range, what is no number', () => {
    const words = Uint32Array.from({ length: 1 << 16 }, (_, i) => (i << 16) | ((i * 40503) & 0xffff));
    words.set([
      0x7f800001, 0xff800001, 0x7fffffff, 0x7f7fffff, 0x00000001, 0x80008000, 0x3f808000, 0x3f818000,
    ]);
    const values = new Float32Array(words.buffer);
    const merger = new RowMerger();
    merger.load({ name: 'w', stored: 'F32', dtype: 'BF16', columns: 256, update: null });
    expect(merger.merge(bytesOf(values), 0)).toEqual(bytesOf(toBfloat16(values)));
    // And back, which is exact: also of the numbers that are none.
    const halves = Uint16Array.from({ length: 1 << 16 }, (_, i) => i);
    merger.load({ name: 'w', stored: 'BF16', dtype: 'F32', columns: 256, update: null });
    const expected = bytesOf(asFloat32(bytesOf(halves), 'BF16'));
    expect(merger.merge(bytesOf(halves), 0)).toEqual(expected);
  });

  it('refuses what f16 does not hold, with the weight and the number', () => {
    const merger = new RowMerger();
    merger.load({ name: 'w', stored: 'F32', dtype: 'F16', columns: 2, update: null });
    expect(() => merger.merge(bytesOf(Float32Array.of(1, -70000)), 0)).toThrow(/^w has the value -70000/);
  });
});
