import { describe, expect, it } from 'vitest';
import { epochOrder, takenRows, type OrderedSource } from '../../../src-main/data/mix/epochOrder.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

function source(key: string, rows: number, amount: number, seed = 1): OrderedSource {
  const random = createRandom(seed);
  return { key, amount, units: Uint32Array.from({ length: rows }, () => 5 + random.integer(40)) };
}

const total = (units: Uint32Array) => units.reduce((sum, unit) => sum + unit, 0);
const counts = (rows: Iterable<number>) => {
  const found = new Map<number, number>();
  for (const row of rows) found.set(row, (found.get(row) ?? 0) + 1);
  return found;
};

describe('rows of a source in passes over a mix', () => {
  it('takes every row once where the amount is one pass', () => {
    const one = source('a', 200, 0);
    const whole = { ...one, amount: total(one.units) };
    for (const epoch of [0, 1, 7])
      expect([...takenRows(whole, 3, epoch)].sort((a, b) => a - b)).toEqual([...Array(200).keys()]);
    expect(takenRows(whole, 3, 0)).not.toEqual(takenRows(whole, 3, 1));
    expect(takenRows(whole, 3, 0)).not.toEqual(takenRows(whole, 4, 0));
  });

  it('meets the amount to half a row, and no row again before all came', () => {
    const one = source('a', 100, 0);
    const all = total(one.units);
    const some = { ...one, amount: 0.37 * all };
    const seen: number[] = [];
    for (let epoch = 0; epoch < 8; epoch++) {
      const taken = takenRows(some, 5, epoch);
      seen.push(...taken);
      const sum = seen.reduce((units, row) => units + one.units[row]!, 0);
      expect(Math.abs(sum - (epoch + 1) * some.amount)).toBeLessThanOrEqual(22.5);
      const times = [...counts(seen).values()];
      const least = seen.length < 100 ? 0 : Math.min(...times);
      expect(Math.max(...times) - least).toBeLessThanOrEqual(1);
    }
  });

  it('repeats a source as often as asked for', () => {
    const one = source('a', 10, 0);
    const taken = takenRows({ ...one, amount: 3 * total(one.units) }, 1, 0);
    expect([...counts(taken).values()]).toEqual(Array(10).fill(3));
    // Pass after pass, each in an order of its own.
    expect(new Set(taken.subarray(0, 10)).size).toBe(10);
    expect(taken.subarray(0, 10)).not.toEqual(taken.subarray(10, 20));
  });
});

describe('order of a pass over a mix', () => {
  const [a, b] = [source('a', 300, 6000, 1), source('b', 50, 2000, 2)];
  const named = (pairs: Uint32Array, names: readonly string[]) =>
    Array.from({ length: pairs.length / 2 }, (_, i) => `${names[pairs[2 * i]!]} ${pairs[2 * i + 1]!}`);

  it.each(['random', 'stratified'] as const)('holds the shares in every stretch (%s)', (order) => {
    const pairs = epochOrder([a, b], { seed: 1, order }, 0);
    const units = (begin: number, end: number, only?: number) => {
      let sum = 0;
      for (let i = begin; i < end; i++)
        if (only === undefined || pairs[2 * i] === only)
          sum += [a, b][pairs[2 * i]!]!.units[pairs[2 * i + 1]!]!;
      return sum;
    };
    for (let begin = 0; begin + 60 <= pairs.length / 2; begin += 60) {
      const share = units(begin, begin + 60, 1) / units(begin, begin + 60);
      expect(Math.abs(share - 0.25)).toBeLessThan(order === 'stratified' ? 0.04 : 0.1);
    }
    expect(units(0, pairs.length / 2, 1) / units(0, pairs.length / 2)).toBeCloseTo(0.25, 2);
  });

  it('is the same whatever the order of the sources', () => {
    const one = named(epochOrder([a, b], { seed: 1, order: 'random' }, 2), ['a', 'b']);
    const other = named(epochOrder([b, a], { seed: 1, order: 'random' }, 2), ['b', 'a']);
    expect(other).toEqual(one);
  });
});
