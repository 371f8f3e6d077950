import { normalTail } from '../../src-main/statistics/normal.ts';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src-main/statistics/random.ts';
import type { EvaluationItem } from '../../src-main/contract/entities.ts';
import { compareSubjects } from '../../src-main/evaluation/compare.ts';
import {
  bootstrapInterval,
  holm,
  mcNemarExact,
  wilcoxonSignedRank,
  wilsonInterval,
} from '../../src-main/statistics/intervals.ts';

const recorded = JSON.parse(readFileSync(new URL('recorded/statistics.json', import.meta.url), 'utf8')) as {
  wilcoxon: { differences: number[]; p: number }[];
  mcnemar: { onlyA: number; onlyB: number; p: number }[];
  wilson: { successes: number; n: number; interval: [number, number] }[];
  tails: { z: number; p: number }[];
};

describe('as scipy', () => {
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
  it('tails of the normal distribution', () => {
    for (const { z, p } of recorded.tails) expect(Math.abs(normalTail(z) / p - 1)).toBeLessThan(1e-9);
  });
});

it("Holm's correction keeps the order of the tests", () => {
  expect(holm([0.04, 0.01, 0.03])).toEqual([0.06, 0.03, 0.06]);
  expect(holm([0.9])).toEqual([0.9]);
});

it('the bootstrap interval of a mean covers it about as often as it claims', () => {
  let covered = 0;
  for (let seed = 0; seed < 100; seed++) {
    const random = createRandom(1000 + seed);
    const values = Array.from({ length: 40 }, () => random.next() - 0.5);
    const mean = (indices: Int32Array) => indices.reduce((sum, i) => sum + values[i]!, 0) / indices.length;
    const [low, high] = bootstrapInterval(40, mean, { seed, resamples: 400 });
    if (low <= 0 && high >= 0) covered++;
  }
  expect(covered).toBeGreaterThan(85);
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
