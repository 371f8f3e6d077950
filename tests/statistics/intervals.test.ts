import { normalTail } from '../../src-main/statistics/normal.ts';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { EvaluationItem } from '../../src-main/contract/entities.ts';
import { compareSubjects } from '../../src-main/evaluation/compare.ts';
import { scoreInterval, scoreOf, lossSums } from '../../src-main/statistics/scores.ts';
import { studentQuantile } from '../../src-main/statistics/student.ts';
import {
  holm,
  mcNemarExact,
  pairedDifferenceInterval,
  wilcoxonSignedRank,
  wilsonInterval,
} from '../../src-main/statistics/intervals.ts';

const recorded = JSON.parse(readFileSync(new URL('recorded/statistics.json', import.meta.url), 'utf8')) as {
  wilcoxon: { differences: number[]; p: number }[];
  mcnemar: { onlyA: number; onlyB: number; p: number }[];
  wilson: { successes: number; n: number; interval: [number, number] }[];
  paired: { both: number; onlyA: number; onlyB: number; neither: number; newcombe: [number, number] }[];
  ratio: {
    tokens: number[];
    losses: number[];
    interval: [number, number];
    bootstrap: [number, number] | null;
  }[];
  quantiles: { freedom: number; t: number }[];
  tails: { z: number; p: number }[];
};

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

it('a test of something that is not a number is refused, not answered', () => {
  expect(() => wilcoxonSignedRank([1, NaN])).toThrow(/not finite/);
});

function items(values: { correct?: boolean; loss?: number | null }[]): EvaluationItem[] {
  return values.map(({ correct = null, loss = null }, index) => ({
    index,
    correct: correct ?? null,
    loss,
    tokens: 10,
    output: null,
    answer: null,
    target: null,
  }));
}

describe('comparisons', () => {
  const losses = (shift: number) =>
    items(Array.from({ length: 40 }, (_, i) => ({ loss: 2 + Math.sin(i) / 10 + shift + i / 1e4 })));
  const subject = (name: string, graded: EvaluationItem[], dataHash = 'h') => ({
    name,
    seed: name === 'id' ? 7 : 0,
    items: graded,
    dataHash,
  });

  it('a lower loss is better, and the sentence says on what and how sure', () => {
    const [c] = compareSubjects('perplexity', 'test.jsonl', [
      subject('lora', losses(0)),
      subject('id', losses(0.1)),
    ]);
    expect(c).toMatchObject({ verdict: 'a_better', n: 40, metric: 'mean_loss' });
    expect(c!.sentence).toMatch(
      /^id is worse than lora on 40 items of test.jsonl: .* difference \+0.100 nats .* Wilcoxon's signed-rank test, p = .*; one run each, seeds 7 and 0\.$/,
    );
  });
  it('gives no interval where there are too few items for one', () => {
    const few = (shift: number) => losses(shift).slice(0, 1);
    const [c] = compareSubjects('perplexity', 'd', [subject('a', few(0)), subject('b', few(0.4))]);
    expect(c!.verdict).toBe('cannot_tell');
    expect(c!.sentence).toMatch(/on 1 item of d: .* \(too few items for an interval: at least 6/);
  });
  it('equal losses cannot be told apart', () => {
    const [c] = compareSubjects('perplexity', 'd', [subject('a', losses(0)), subject('b', losses(0))]);
    expect(c).toMatchObject({ verdict: 'cannot_tell', pAdjusted: 1 });
  });
  it('verdict and sentence agree where one is near zero and the other is not', () => {
    const right = (n: number) => items(Array.from({ length: 1319 }, (_, i) => ({ correct: i < n })));
    const [c] = compareSubjects('gsm8k', 'd', [subject('a', right(0)), subject('b', right(20))]);
    expect(c!.verdict).toBe('b_better');
    expect(c!.sentence).toMatch(/^b is better than a/);
    const [none] = compareSubjects('gsm8k', 'd', [subject('a', right(0)), subject('b', right(1))]);
    expect(none!.sentence).toMatch(/beyond both models/);
    // None right of 20 with both: a difference of up to 16 points may be hidden.
    const twenty = () => items(Array.from({ length: 20 }, () => ({ correct: false })));
    const [zeros] = compareSubjects('gsm8k', 'd', [subject('a', twenty()), subject('b', twenty())]);
    expect(zeros!.interval.map((bound) => bound.toFixed(3))).toEqual(['-0.161', '0.161']);
    expect(zeros!.sentence).toContain('95 % interval −16.1 to +16.1');
  });
  it('corrects over all pairs', () => {
    const three = [0, 0.1, 0.2].map((shift, i) => subject(`s${i}`, losses(shift)));
    const compared = compareSubjects('perplexity', 'd', three);
    expect(compared).toHaveLength(3);
    for (const c of compared) expect(c.pAdjusted).toBeGreaterThan(c.pValue);
    expect(compared[0]!.sentence).toContain('Holm over 3 pairs');
  });
  it('refuses other items, other data and losses that are not finite', () => {
    expect(() =>
      compareSubjects('perplexity', 'd', [subject('a', losses(0)), subject('b', losses(0).slice(1))]),
    ).toThrow(/not graded on the same items \(40 and 39\)/);
    expect(() =>
      compareSubjects('perplexity', 'd', [subject('a', losses(0)), subject('b', losses(0), 'other')]),
    ).toThrow(/not graded on the same items/);
    expect(() =>
      compareSubjects('perplexity', 'd', [
        subject('a', losses(0)),
        subject('b', items(Array.from({ length: 40 }, () => ({ loss: NaN })))),
      ]),
    ).toThrow(/no finite loss/);
  });
});
