import { describe, expect, it } from 'vitest';
import { lineLengths, lineWords, unpackedLayouts, withLabels } from '../../src-main/options/passLayouts.ts';
import { createRandom } from '../../src-main/statistics/random.ts';

/** Tokens of passes of eight rows of 60 to 500 tokens each, as answers to short questions have them. */
function passesOf(count: number): number[] {
  const random = createRandom(7);
  const row = () => 60 + Math.min(440, Math.round(-110 * Math.log(1 - random.next())));
  return Array.from({ length: count }, () =>
    Array.from({ length: 8 }, row).reduce((sum, length) => sum + length, 0),
  );
}

describe('lengths of lines', () => {
  it('hold every pass, are at most four, and leave few slots empty where there are many passes', () => {
    const totals = passesOf(300);
    const { lengths, mean } = lineLengths(totals);
    expect(lengths.length).toBeGreaterThan(1);
    expect(lengths.length).toBeLessThanOrEqual(4);
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
    expect(lengths.at(-1)).toBeGreaterThanOrEqual(Math.max(...totals));
    expect(lengths.at(-1)! - Math.max(...totals)).toBeLessThan(128);
    const slots = totals.map((total) => lengths.find((length) => length >= total)!);
    const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
    expect(mean).toBeCloseTo(sum(slots) / totals.length, 6);
    expect(sum(totals) / sum(slots)).toBeGreaterThan(0.88);
  });

  it('are fewer where fewer passes gain by them, a sample counting for all that there will be', () => {
    const totals = passesOf(300);
    expect(lineLengths(totals.slice(0, 3)).lengths.length).toBe(1);
    expect(lineLengths(totals, 3).lengths.length).toBe(1);
    expect(lineLengths(totals.slice(0, 30), 3000).lengths.length).toBe(4);
    expect(lineLengths([])).toEqual({ lengths: [8], mean: 8 });
  });

  it('leave fewest slots empty: no other choice of as many lengths is better', () => {
    const totals = [100, 104, 200, 210, 400, 401, 402, 800].flatMap((total) => Array<number>(20).fill(total));
    const { lengths, mean } = lineLengths(totals);
    const sizes = [104, 224, 416, 800];
    expect(lengths).toEqual(sizes);
    expect(mean).toBeCloseTo((2 * 104 + 2 * 224 + 3 * 416 + 800) / 8, 6);
  });
});

it('leave room for labels where these are clearly fewer than the tokens', () => {
  const layout = { batch: 2, tokens: 512, longestExample: 256 };
  expect(withLabels(layout, 500)).toEqual({ ...layout, labels: 512 });
  expect(withLabels({ ...layout, labels: 32 }, 1000)).toEqual(layout);
});

describe('layouts of rows that are not packed', () => {
  const of = { batch: 8, padded: 504, heldOut: { total: 900, longest: 300 } };

  it('are lines where rows differ, and one padded row each where they do not', () => {
    const lines = unpackedLayouts({ ...of, totals: passesOf(100) });
    for (const layout of lines.training) expect(layout).toMatchObject({ batch: 1, longestExample: 504 });
    expect(lines.meanSlots).toBeLessThan(0.6 * 8 * 504);
    const alike = unpackedLayouts({ ...of, totals: Array<number>(100).fill(8 * 500) });
    const padded = { batch: 8, tokens: 504 };
    expect(alike).toEqual({ training: [padded], scoring: padded, meanSlots: 8 * 504, fill: 500 / 504 });
    expect(lineWords(alike)).toBeNull();
    expect(lineWords(lines)).toMatch(/in a line of \d[\d, or]* tokens: [89]\d %/);
  });

  it('score what is held out in the shortest line that holds it, at most as long as training needs', () => {
    const totals = passesOf(100);
    const lengths = unpackedLayouts({ ...of, totals }).training.map(({ tokens }) => tokens);
    const scoring = (total: number, longest: number) =>
      unpackedLayouts({ ...of, totals, heldOut: { total, longest } }).scoring.tokens;
    expect(scoring(900, 300)).toBe(lengths[0]);
    expect(scoring(1e6, 300)).toBe(lengths.at(-1));
    expect(scoring(1e6, lengths.at(-1)! + 1)).toBe(lengths.at(-1)! + 128);
  });
});
