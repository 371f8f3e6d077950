import { expect, it } from 'vitest';
import { cutRank, symmetricEigen } from '../../../src-main/engine/process/rankCut.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

const [dOut, dIn, rank] = [17, 23, 6];

/** A random update whose singular values are far apart. */
function randomUpdate(seed: number, zeroRow = false) {
  const random = createRandom(seed);
  const down = Float32Array.from({ length: rank * dIn }, () => random.normal());
  if (zeroRow) down.copyWithin(dIn, 0, dIn);
  const up = Float32Array.from({ length: dOut * rank }, (_, i) => random.normal() * 3 ** -(i % rank));
  return { down, up, rank };
}

function product({
  down,
  up,
  rank: r,
}: {
  down: Float32Array;
  up: Float32Array;
  rank: number;
}): Float64Array {
  const result = new Float64Array(dOut * dIn);
  for (let i = 0; i < dOut; i++)
    for (let j = 0; j < dIn; j++)
      for (let k = 0; k < r; k++) result[i * dIn + j]! += up[i * r + k]! * down[k * dIn + j]!;
  return result;
}

const squares = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
const difference = (a: Float64Array, b: Float64Array) => a.map((value, i) => value - b[i]!);

/** Singular values of a matrix, greatest first, from the eigenvalues of M M'. */
function singularValues(matrix: Float64Array): number[] {
  const gram = new Float64Array(dOut * dOut);
  for (let a = 0; a < dOut; a++)
    for (let b = 0; b < dOut; b++)
      for (let j = 0; j < dIn; j++) gram[a * dOut + b]! += matrix[a * dIn + j]! * matrix[b * dIn + j]!;
  const { values } = symmetricEigen(gram, dOut);
  return values.map((value) => Math.sqrt(Math.max(0, value))).sort((a, b) => b - a);
}

it.each([1, 2, 4, 5])(
  'the nearest update of rank %d is as far off as the singular values that are gone',
  (most) => {
    const whole = randomUpdate(3);
    const cut = cutRank(whole, most);
    const [before, after] = [product(whole), product(cut)];
    const values = singularValues(before);
    const lost = values.slice(most).reduce((sum, value) => sum + value * value, 0);
    expect(cut.rank).toBe(most);
    expect(squares(difference(before, after)) / lost).toBeCloseTo(1, 4);
    expect(cut.variance / squares(before)).toBeCloseTo(1, 6);
    expect(cut.keptVariance / squares(after)).toBeCloseTo(1, 6);
  },
);

it('is the update itself where its rank is not lowered, also where A has a row twice', () => {
  for (const whole of [randomUpdate(4), randomUpdate(5, true)]) {
    const cut = cutRank(whole, rank);
    const before = product(whole);
    expect(Math.sqrt(squares(difference(before, product(cut))) / squares(before))).toBeLessThan(1e-6);
    expect(cut.keptVariance).toBe(cut.variance);
  }
});

it('is nothing of an update that is nothing', () => {
  const { down } = randomUpdate(6);
  const cut = cutRank({ down, up: new Float32Array(dOut * rank), rank }, 2);
  expect(cut.variance).toBe(0);
  expect([...cut.up, ...cut.down].every((value) => Number.isFinite(value))).toBe(true);
  expect(squares(product(cut))).toBe(0);
});

it('finds eigenvalues and eigenvectors', () => {
  // [[2, 1], [1, 2]] has 1 and 3.
  const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 1, 2), 2);
  expect(values.toSorted((a, b) => a - b).map((value) => value.toFixed(12))).toEqual([
    '1.000000000000',
    '3.000000000000',
  ]);
  expect(Math.abs(vectors[0]!)).toBeCloseTo(Math.SQRT1_2, 12);
});
