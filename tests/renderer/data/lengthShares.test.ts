import { describe, expect, it } from 'vitest';
import {
  contextShares,
  lengthBins,
  lengthsOf,
  shareAbove,
} from '../../../src-renderer/features/data/statistics/lengthShares.ts';

/** As the main side gives them. */
const given = (values: readonly number[]) => {
  const sorted = [...values].sort((a, b) => a - b);
  const quantiles = Array.from(
    { length: 1001 },
    (_, i) => sorted[Math.round((i / 1000) * (sorted.length - 1))]!,
  );
  return lengthsOf(quantiles, sorted.length);
};

describe('lengths of rows', () => {
  const lengths = Array.from({ length: 5000 }, (_, i) => 10 + Math.round(990 * (i / 4999) ** 3));
  const quantiles = given(lengths);

  it('are told apart at a context as if all rows were counted, within two thousandths; exactly where they are few', () => {
    for (const context of [5, 10, 50, 200, 700, 999, 1000, 2000]) {
      const counted = lengths.filter((length) => length > context).length / lengths.length;
      expect(Math.abs(shareAbove(quantiles, context) - counted)).toBeLessThan(0.002);
    }
    expect(shareAbove(quantiles, 1000)).toBe(0);
    expect(shareAbove(quantiles, 9)).toBe(1);
    expect(shareAbove(lengthsOf([], 0), 10)).toBe(0);
    expect(shareAbove(given([7, 7, 7]), 7)).toBe(0);
    for (const some of [[3], [3, 9], [1, 2, 2, 5, 8, 8, 8], lengths.slice(0, 1001)])
      for (const limit of [0, 1, 2, 3, 5, 7, 8, 9])
        expect(shareAbove(given(some), limit)).toBeCloseTo(
          some.filter((length) => length > limit).length / some.length,
          10,
        );
  });

  it('lose answers from the right, nothing from the left, and the whole row where it is left out', () => {
    const rows = { lengths: given([10, 20, 30, 40]), prompts: given([5, 10, 15, 20]) };
    expect(contextShares(rows, 1000, 'right')).toEqual({ longer: 0, lost: 0 });
    const right = contextShares(rows, 15, 'right');
    // A prompt of 15 tokens fills a context of 15.
    expect(right).toEqual({ longer: 0.75, lost: 0.5 });
    expect(contextShares(rows, 15, 'left')).toEqual({ longer: right.longer, lost: 0 });
    expect(contextShares(rows, 15, 'drop')).toEqual({ longer: right.longer, lost: right.longer });
  });

  it('fill bins that hold every row once', () => {
    for (const values of [lengths, [7, 7, 7], [1], [1, 2, 3], [1, 100_000]]) {
      const bins = lengthBins(given(values));
      expect(bins.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
      expect(bins.every(({ from, to }, i) => to > from && (i === 0 || from === bins[i - 1]!.to))).toBe(true);
    }
  });
});
