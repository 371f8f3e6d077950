import { describe, expect, it } from 'vitest';
import { normalQuantile, normalTail } from '../../src-main/statistics/normal.ts';
import {
  itemsForAccuracy,
  itemsForLoss,
  seedsFor,
  smallestDifference,
  detectableAccuracy,
  detectableMean,
} from '../../src-main/statistics/sampleSize.ts';
import { studentPower } from '../../src-main/statistics/student.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { meanInterval } from '../../src-main/statistics/seeds.ts';
import { mcNemarExact, wilcoxonSignedRank } from '../../src-main/statistics/pairedTests.ts';

const logFactorials = [0];
function logFactorial(n: number): number {
  for (let k = logFactorials.length; k <= n; k++) logFactorials.push(logFactorials[k - 1]! + Math.log(k));
  return logFactorials[n]!;
}
function binomial(k: number, n: number, p: number): number {
  if (p === 0 || p === 1) return k === n * p ? 1 : 0;
  const choose = logFactorial(n) - logFactorial(k) - logFactorial(n - k);
  return Math.exp(choose + k * Math.log(p) + (n - k) * Math.log(1 - p));
}

/** Chance that McNemar's exact test says p < 0.05, by enumeration of every outcome that matters. */
function exactPower(n: number, difference: number, discordance: number): number {
  const share = (discordance + difference) / (2 * discordance);
  let power = 0;
  for (let discordant = 0; discordant <= n; discordant++) {
    const chance = binomial(discordant, n, discordance);
    if (chance < 1e-9) continue;
    let least = -1;
    while (least + 1 < discordant / 2 && mcNemarExact(least + 1, discordant - least - 1) < 0.05) least++;
    let rejected = 0;
    for (let k = 0; k <= least; k++)
      rejected += binomial(k, discordant, share) + binomial(discordant - k, discordant, share);
    power += chance * rejected;
  }
  return power;
}

/** A normal number, by Box and Muller. */
function createNormal(seed: number): () => number {
  const random = createRandom(seed);
  return () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

function simulatedPower(rounds: number, isSeen: () => boolean): number {
  let seen = 0;
  for (let i = 0; i < rounds; i++) if (isSeen()) seen++;
  return seen / rounds;
}

it('has the quantiles of the normal distribution', () => {
  expect(normalQuantile(0.975)).toBeCloseTo(1.959963984540054, 9);
  expect(normalQuantile(0.8)).toBeCloseTo(0.8416212335729143, 9);
  expect(normalQuantile(0.5)).toBeCloseTo(0, 9);
  expect(normalQuantile(0.001)).toBeCloseTo(-3.090232306167813, 8);
  expect(normalTail(normalQuantile(0.9999))).toBeCloseTo(0.0001, 9);
});

describe('items for a difference of accuracy', () => {
  // Every pair that a desk can enumerate: from easy to see to hard.
  it.each([
    [0.2, 0.3],
    [0.1, 0.1],
    [0.1, 0.2],
    [0.1, 0.5],
    [0.05, 0.08],
    [0.05, 0.2],
    [0.03, 0.1],
    [0.02, 0.05],
  ])(
    'a difference of %d at a discordance of %d is seen by the exact test in 80 to 88 of 100 cases',
    (d, p) => {
      const items = itemsForAccuracy(d, p)!;
      const power = exactPower(items, d, p);
      expect(power).toBeGreaterThan(0.79);
      expect(power).toBeLessThan(0.885);
    },
  );

  it('has no answer to impossible questions', () => {
    expect(itemsForAccuracy(0, 0.1)).toBeNull();
    expect(itemsForAccuracy(0.2, 0.1)).toBeNull();
    expect(itemsForAccuracy(0.2, 1.1)).toBeNull();
    expect(itemsForAccuracy(Number.NaN, 0.1)).toBeNull();
    expect(itemsForAccuracy(1e-9, 0.1)).toBeNull();
  });
});

it('items for a difference of loss are seen by the signed-rank test in about 80 of 100 cases', () => {
  for (const [seed, [difference, deviation]] of (
    [
      [0.5, 0.5],
      [0.2, 0.5],
      [0.1, 0.5],
    ] as const
  ).entries()) {
    const normal = createNormal(seed + 1);
    const items = itemsForLoss(difference, deviation)!;
    const power = simulatedPower(
      1500,
      () => wilcoxonSignedRank(Array.from({ length: items }, () => difference + deviation * normal())) < 0.05,
    );
    // Three standard errors of 1,500 rounds are 0.031.
    expect(power, `${items} items`).toBeGreaterThan(0.769);
    expect(power, `${items} items`).toBeLessThan(0.86);
  }
  expect(itemsForLoss(0.1, 0)).toBe(6);
  expect(itemsForLoss(0, 1)).toBeNull();
});

it('seeds are seen by the interval over seeds in about 80 of 100 cases', () => {
  for (const [seed, [difference, deviation]] of (
    [
      [1, 1],
      [1, 2],
      [1, 0.5],
    ] as const
  ).entries()) {
    const normal = createNormal(seed + 11);
    const seeds = seedsFor(difference, deviation)!;
    const power = simulatedPower(4000, () => {
      const [low, high] = meanInterval(
        Array.from({ length: seeds }, () => difference + deviation * normal()),
      )!;
      return low > 0 || high < 0;
    });
    // Three standard errors of 4,000 rounds are 0.019; few seeds go in coarse steps.
    expect(power, `${seeds} seeds`).toBeGreaterThan(0.781);
    expect(studentPower(difference / deviation, seeds, 0.05)).toBeCloseTo(power, 1.6);
    if (seeds > 2) expect(studentPower(difference / deviation, seeds - 1, 0.05)).toBeLessThan(0.8);
  }
  expect(seedsFor(1, 0)).toBe(2);
  // One-sample t test, effect 0.5 and 1, 80 %: 34 and 10 (the classical tables).
  expect(seedsFor(0.5, 1)).toBe(34);
  expect(seedsFor(1, 1)).toBe(10);
  expect(seedsFor(1, 1e9)).toBeNull();
});

it('the smallest difference needs just the items that there are', () => {
  const needs = (d: number) => itemsForAccuracy(d, 0.1);
  const smallest = smallestDifference(1319, needs, 0.1)!;
  expect(needs(smallest)).toBeLessThanOrEqual(1319);
  expect(needs(smallest * 0.999)).toBeGreaterThan(1319);
  expect(smallestDifference(5, needs, 0.1)).toBeNull();
});

it('the smallest difference that is seen is the one that needs as many items', () => {
  for (const [items, scatter] of [
    [50, 0.4],
    [1319, 0.05],
    [14_042, 0.2],
  ] as const) {
    const ofMean = detectableMean(items, scatter)!;
    expect(itemsForLoss(ofMean * 1.0001, scatter)).toBeLessThanOrEqual(items);
    expect(itemsForLoss(ofMean * 0.97, scatter)).toBeGreaterThan(items);
    const ofShare = detectableAccuracy(items, scatter)!;
    expect(itemsForAccuracy(ofShare, Math.max(ofShare, scatter))).toBeLessThanOrEqual(items);
    expect(itemsForAccuracy(ofShare * 0.97, Math.max(ofShare * 0.97, scatter))).toBeGreaterThan(items);
  }
  expect(detectableMean(5, 1)).toBeNull();
  expect(detectableAccuracy(3, 0.1)).toBeNull();
});
