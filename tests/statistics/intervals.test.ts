import { normalTail } from '../../src-main/statistics/normal.ts';
import { describe, expect, it, vi } from 'vitest';
import { scoreInterval, scoreOf, lossSums } from '../../src-main/statistics/scores.ts';
import { deviation, mean, meanInterval } from '../../src-main/statistics/seeds.ts';
import { studentQuantile, studentTest } from '../../src-main/statistics/student.ts';
import { pairedDifferenceInterval, wilsonInterval } from '../../src-main/statistics/intervals.ts';
import { recorded } from './recordedValues.ts';
import { holm, mcNemarExact, wilcoxonSignedRank } from '../../src-main/statistics/pairedTests.ts';

describe('as scipy and statsmodels', () => {
  it("Wilcoxon's signed-rank test, exact and approximate, with ties and zeros", () => {
    for (const { differences, p } of recorded.wilcoxon)
      expect(Math.abs(wilcoxonSignedRank(differences) / p - 1), `n = ${differences.length}`).toBeLessThan(
        1e-9,
      );
  });
  it("McNemar's exact test", () => {
    for (const { onlyA, onlyB, p } of recorded.mcnemar) expect(mcNemarExact(onlyA, onlyB)).toBeCloseTo(p, 10);
    expect(mcNemarExact(0, 0)).toBe(1);
  });
  it("Wilson's interval", () => {
    for (const { successes, n, interval } of recorded.wilson)
      wilsonInterval(successes, n).forEach((bound, i) => expect(bound).toBeCloseTo(interval[i]!, 10));
  });
  it("Newcombe's interval of a paired difference, with a width also where nothing differs", () => {
    for (const { newcombe, ...counts } of recorded.paired)
      pairedDifferenceInterval(counts).forEach((bound, i) => expect(bound).toBeCloseTo(newcombe[i]!, 10));
    // Airway hyper-responsiveness: the published interval (Fagerland, Lydersen and Laake 2014) is 0.026 to 0.507.
    const [low, high] = pairedDifferenceInterval({ both: 1, onlyA: 1, onlyB: 7, neither: 12 });
    expect([low.toFixed(3), high.toFixed(3)]).toEqual(['0.026', '0.507']);
  });
  it('the interval of a perplexity, close to what resampling gives', () => {
    for (const { tokens, losses, interval, bootstrap } of recorded.ratio) {
      const sums = lossSums(losses.map((lossSum, i) => ({ lossSum, tokens: tokens[i]! })));
      const found = scoreInterval(sums, tokens.length);
      found.forEach((bound, i) => expect(bound / interval[i]! - 1).toBeCloseTo(0, 8));
      const score = scoreOf(sums, tokens.length);
      bootstrap?.forEach((bound, i) => expect(Math.abs(found[i]! - bound)).toBeLessThan(0.02 * score));
    }
  });
  it("Student's test and interval of a mean", () => {
    for (const { values, p, interval } of recorded.student) {
      expect(studentTest(mean(values), deviation(values), values.length)).toBeCloseTo(p, 10);
      meanInterval(values)!.forEach((bound, i) => expect(bound).toBeCloseTo(interval[i]!, 8));
    }
  });
  it("Student's quantiles", () => {
    for (const { freedom, t } of recorded.quantiles)
      expect(studentQuantile(freedom, 0.95), String(freedom)).toBeCloseTo(t, 8);
  });
  it('tails of the normal distribution', () => {
    for (const { z, p } of recorded.tails) expect(Math.abs(normalTail(z) / p - 1)).toBeLessThan(1e-9);
  });
});

it("Holm's correction keeps the order of the tests", () => {
  expect(holm([0.04, 0.01, 0.03])).toEqual([0.06, 0.03, 0.06]);
  expect(holm([0.9])).toEqual([0.9]);
});

it('an interval is made from sums, however many items: nothing is drawn or walked through again', () => {
  let steps = 0;
  const rows = {
    *[Symbol.iterator]() {
      for (let i = 0; i < 50_000; i++, steps++) yield { lossSum: 20 + (i % 7), tokens: 10 };
    },
  };
  const sums = lossSums(rows);
  const [low, high] = scoreInterval(sums, 50_000);
  expect(steps).toBe(50_000);
  expect([low, scoreOf(sums, 50_000), high].map((value) => value.toFixed(2))).toEqual([
    '9.96',
    '9.97',
    '9.99',
  ]);
  expect(scoreInterval(lossSums([{ lossSum: 20, tokens: 10 }]), 1)).toEqual([1, Number.MAX_VALUE]);
  for (const bound of scoreInterval(
    lossSums([
      { lossSum: 1, tokens: 10 },
      { lossSum: 9000, tokens: 1 },
    ]),
    2,
  ))
    expect(Number.isFinite(bound)).toBe(true);
});

it('tests of many items end at once: the work grows with them, not with their square', () => {
  // With a factorial a term, 18,200 discordant items took minutes of logarithms.
  const log = vi.spyOn(Math, 'log');
  expect(mcNemarExact(9000, 9200)).toBeGreaterThan(0.1);
  expect(log.mock.calls.length).toBeLessThan(20_000);
  log.mockRestore();
});

it('a test of something that is not a number is refused, not answered', () => {
  expect(() => wilcoxonSignedRank([1, NaN])).toThrow(/not finite/);
});
