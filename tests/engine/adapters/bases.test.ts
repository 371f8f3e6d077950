import { describe, expect, it } from 'vitest';
import { gaussianBases, singularBases } from '../../../src-main/engine/adapters/pivots/bases.ts';
import { loadTensorflow } from '../../../src-main/engine/runtime/loadTensorflow.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

const { tf } = loadTensorflow();

/** W = sum_i s_i u_i v_i^T with unit vectors along the axes: its singular vectors are known. */
function diagonal(dOut: number, dIn: number, values: readonly number[]) {
  const rows = new Float32Array(dOut * dIn);
  values.forEach((value, i) => (rows[i * dIn + i] = value));
  return { rows, dOut, dIn };
}

const rowOf = (bases: Float32Array, dIn: number, row: number) => [...bases.slice(row * dIn, (row + 1) * dIn)];
const lengthOf = (row: readonly number[]) => Math.hypot(...row);

describe('bases in the place of rows', () => {
  // Tall and wide: by the smaller of the two products.
  it.each([
    [9, 6],
    [6, 9],
  ])('singular vectors of [%i, %i], the greatest first, dealt in turn to the clusters', async (dOut, dIn) => {
    const values = [1, 6, 2, 5, 3, 4];
    const weight = diagonal(dOut, dIn, values);
    const bases = await singularBases(tf, weight, { clusters: 2, count: 4 });
    // 6 and 4 of the first cluster, 5 and 3 of the second.
    const axes = [1, 5, 3, 4];
    const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / dOut);
    for (const [row, axis] of axes.entries()) {
      const found = rowOf(bases, dIn, row);
      expect(lengthOf(found)).toBeCloseTo(length, 4);
      expect(Math.abs(found[axis]!)).toBeCloseTo(length, 4);
    }
  });

  it('Gaussian numbers are as wide as those of the weight, and the same from the same seed', () => {
    const random = createRandom(1);
    const weight = {
      rows: Float32Array.from({ length: 600 }, () => 0.3 * random.normal()),
      dOut: 20,
      dIn: 30,
    };
    const bases = gaussianBases(weight, 200, createRandom(4));
    const squares = bases.reduce((sum, value) => sum + value * value, 0) / bases.length;
    const own = weight.rows.reduce((sum, value) => sum + value * value, 0) / weight.rows.length;
    expect(squares / own).toBeGreaterThan(0.9);
    expect(squares / own).toBeLessThan(1.1);
    expect(gaussianBases(weight, 200, createRandom(4))).toEqual(bases);
    expect(gaussianBases(weight, 200, createRandom(5))).not.toEqual(bases);
  });
});
