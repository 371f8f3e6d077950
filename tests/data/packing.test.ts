import { describe, expect, it } from 'vitest';
import { packingEfficiency, packRows } from '../../src-main/data/packing.ts';
import { createRandom } from '../../src-main/statistics/random.ts';

/** Log-normal lengths with the mean of 190 and the longest of 500 tokens that GSM8K has with a 32k vocabulary. */
function questionLengths(rows: number, seed: number): number[] {
  const random = createRandom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  return Array.from({ length: rows }, () =>
    Math.min(500, Math.max(40, Math.round(180 * Math.exp(0.4 * normal())))),
  );
}
const inOrder = (rows: number) => [...Array(rows).keys()];

it('fits the longest first into the fullest pack that has room', () => {
  expect(packRows([3, 5, 4, 2, 6], inOrder(5), 8)).toEqual([[4, 3], [1, 0], [2]]);
});

it('a row as long as the capacity, or longer, has a pack of its own', () => {
  expect(packRows([9, 1, 8, 7], inOrder(4), 8)).toEqual([[0], [2], [3, 1]]);
  expect(packingEfficiency([9, 1, 8, 7], [[0], [2], [3, 1]], 8)).toBe(1);
});

it('empty rows cost nothing and no row makes no pack', () => {
  expect(packRows([0, 0, 8], inOrder(3), 8)).toEqual([[2, 0, 1]]);
  expect(packRows([], [], 8)).toEqual([]);
});

describe.each([512, 1024, 2048])('capacity %i', (capacity) => {
  const lengths = questionLengths(7000, 1);
  const order = createRandom(2).shuffle(inOrder(7000));
  const packs = packRows(lengths, order, capacity);

  it('uses every row once, overfills no pack and fills at least 95 % of the slots', () => {
    expect(packs.flat().toSorted((a, b) => a - b)).toEqual(inOrder(7000));
    for (const pack of packs)
      expect(pack.reduce((total, row) => total + lengths[row]!, 0)).toBeLessThanOrEqual(capacity);
    expect(packingEfficiency(lengths, packs, capacity)).toBeGreaterThan(0.95);
  });

  it('is the same for the same order, and pairs other rows for another', () => {
    expect(packRows(lengths, order, capacity)).toEqual(packs);
    const partners = (all: number[][]) =>
      new Set(all.map((pack) => [...pack].sort((a, b) => a - b)).map((pack) => pack.join(' ')));
    const other = partners(packRows(lengths, createRandom(3).shuffle(inOrder(7000)), capacity));
    const shared = [...partners(packs)].filter((pack) => other.has(pack));
    expect(shared.length).toBeLessThan(packs.length / 20);
  });
});
