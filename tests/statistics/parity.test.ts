import { describe, expect, it } from 'vitest';
import { bcaInterval, bootstrapMean } from '../../src-main/statistics/bootstrap.ts';
import {
  clusteredMean,
  clusteredMeanInterval,
  clusteredWilson,
  clustersOf,
  clusterSums,
} from '../../src-main/statistics/clusters.ts';
import { normalBelow } from '../../src-main/statistics/normal.ts';
import {
  clusteredSignedRank,
  holm,
  mcNemarExact,
  signFlipTest,
  wilcoxonSignedRank,
} from '../../src-main/statistics/pairedTests.ts';
import { bradleyTerry, preferenceBetween, type Vote } from '../../src-main/statistics/preference.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { compareSeedsAndItems } from '../../src-main/statistics/seedsAndItems.ts';
import { mean } from '../../src-main/statistics/seeds.ts';
import { studentP, studentQuantile } from '../../src-main/statistics/student.ts';
import { recorded } from './recordedValues.ts';

const near = (found: number, expected: number, digits = 9) =>
  expect(Math.abs(found / expected - 1)).toBeLessThan(10 ** -digits);
const grouped = (groups: readonly number[]) => clustersOf(groups.map(String));

describe('as scipy', () => {
  it("Student's t with degrees of freedom that are not whole", () => {
    for (const { freedom, t, at, p } of recorded.fractions) {
      near(studentQuantile(freedom, 0.95), t, 8);
      near(studentP(at, freedom), p, 11);
      near(studentP(-at, freedom), p);
    }
    expect(studentP(0, 3.5)).toBe(1);
  });
  it('the normal distribution from below', () => {
    for (const { z, p } of recorded.below) near(normalBelow(z), p);
  });
  it('the signed-rank test by each way with zeros, few and many', () => {
    for (const { differences, p } of recorded.zeros)
      for (const method of ['wilcox', 'pratt', 'zsplit'] as const)
        near(wilcoxonSignedRank(differences, method), p[method]);
  });
  it('signs of sums turned, whole numbers and any', () => {
    for (const { sums, p } of recorded.flips) near(signFlipTest(sums), p);
    // More than can be walked through, and too few for the normal approximation: drawn, or counted once they are whole.
    const sums = Array.from({ length: 33 }, (_, i) => Math.sin(i * 7) + 0.25);
    const counted = signFlipTest(sums.map((sum) => Math.round(sum * 1000)));
    expect(Math.abs(signFlipTest(sums) - counted)).toBeLessThan(0.004);
  });
  it('the sign test', () => {
    for (const { wins, losses, p } of recorded.signs) {
      near(mcNemarExact(wins, losses), p);
      // The same test, since each sum is 1 or -1.
      near(signFlipTest([...Array<number>(wins).fill(1), ...Array<number>(losses).fill(-1)]), p);
    }
  });
  it('the signed-rank test of clusters, few and many', () => {
    // The second was recorded from a million draws.
    for (const [i, digits] of [9, 2, 9].entries()) {
      const { differences, groups, p } = recorded.rankClusters[i]!;
      const { of, count } = grouped(groups);
      near(clusteredSignedRank(differences, of, count), p, digits);
    }
  });
  it('the BCa interval of given draws, and close to it with draws of its own', () => {
    for (const { values, drawn, bca, long } of recorded.resampled) {
      const total = values.reduce((sum, value) => sum + value, 0);
      const without = Float64Array.from(values, (value) => (total - value) / (values.length - 1));
      const found = bcaInterval(Float64Array.from(drawn), mean(values), without, 0.95);
      found.forEach((bound, i) => near(bound, bca[i]!));
      const own = bootstrapMean(values, null, { resamples: 40_000, seed: 1, isExpanded: false });
      own.forEach((bound, i) => expect(Math.abs(bound - long[i]!)).toBeLessThan(0.03 * (long[1] - long[0])));
    }
  });
});

describe('as statsmodels', () => {
  it('the cluster-robust error and interval of a mean, the design effect, and the interval of a share', () => {
    for (const { values, groups, error, interval, designEffect, wilson } of recorded.clustered) {
      const clusters = grouped(groups);
      const found = clusteredMean(values, clusters);
      near(found.error!, error);
      near(found.designEffect, Math.max(1, designEffect));
      near(found.effectiveN, values.length / Math.max(1, designEffect));
      clusteredMeanInterval(found)!.forEach((bound, i) => near(bound, interval[i]!, 8));
      if (wilson) clusteredWilson(values, clusters).forEach((bound, i) => near(bound, wilson[i]!, 8));
    }
  });
  it("Holm's correction", () => {
    for (const { p, holm: adjusted } of recorded.adjusted)
      holm(p).forEach((value, i) => near(value, adjusted[i]!));
  });
  it('seeds and items as an analysis of variance of two factors', () => {
    for (const { table, error, freedom, p } of recorded.crossed) {
      const runs = table.map((row) => Float64Array.from(row));
      const nothing = runs.map((row) => row.map(() => 0));
      const found = compareSeedsAndItems(nothing, runs, clustersOf(table[0]!.map(() => null)), true);
      near(found.error, error);
      near(found.freedom, freedom, 8);
      near(found.pValue, p, 8);
      // Two arms of which one is 0 everywhere say the same, paired or not, but for its degrees of freedom.
      const apart = compareSeedsAndItems(nothing, runs, clustersOf(table[0]!.map(() => null)), false);
      near(apart.error, error);
    }
  });
  it('strengths of systems as a logistic regression without a prior', () => {
    const { votes, strengths } = recorded.preference;
    const cast = votes.map(([a, b, isFirst], i): Vote => {
      const choice = isFirst ? 'a' : 'b';
      return { item: String(i), a: `s${a}`, b: `s${b}`, choice };
    });
    const found = bradleyTerry(cast, { prior: 0, resamples: 500 });
    expect(found.map(({ name }) => name)).toEqual(
      [0, 1, 2, 3].sort((i, j) => strengths[j]! - strengths[i]!).map((i) => `s${i}`),
    );
    for (const { name, strength, interval } of found) {
      expect(strength).toBeCloseTo(strengths[Number(name.slice(1))]!, 7);
      expect(interval[0]).toBeLessThan(strength);
      expect(interval[1]).toBeGreaterThan(strength);
    }
    const { wins, losses } = preferenceBetween(cast, 's0', 's3');
    expect(wins + losses).toBe(votes.filter(([a, b]) => a + b === 3 && a * b === 0).length);
  });
});

it('numbers are drawn many at once as one by one', () => {
  const [many, single] = [createRandom(7), createRandom(7)];
  const found = many.fillIntegers(new Int32Array(1000), 37);
  expect([...found]).toEqual(Array.from({ length: 1000 }, () => single.integer(37)));
  expect(many.next()).toBe(single.next());
});

it('sums of clusters keep all items', () => {
  const clusters = clustersOf(['x', null, 'y', 'x', null, 'z', 'u']);
  expect([...clusterSums([1, 2, 3, 4, 5, 6, 7], clusters)]).toEqual([5, 2, 3, 5, 6, 7]);
  expect(clusters).toMatchObject({ count: 6, isGrouped: true });
  // Two halves of a benchmark are all that there are: they say nothing of other halves.
  const halves = clustersOf(['safe', 'unsafe', 'safe', 'unsafe']);
  expect(halves).toMatchObject({ count: 4, isGrouped: false });
  expect(clusteredMean([1, 0, 1, 1], halves)).toMatchObject({ designEffect: 1, effectiveN: 4, freedom: 3 });
});

it('10,000 draws of 12,000 items take no longer than a person waits', () => {
  const random = createRandom(2);
  const values = Float64Array.from({ length: 12_000 }, () => random.next());
  const begin = process.cpuUsage();
  const [low, high] = bootstrapMean(values);
  // Measured: 1.0 s of a core that others used as well.
  expect(process.cpuUsage(begin).user / 1e6).toBeLessThan(2);
  expect(high - low).toBeCloseTo((2 * 1.96) / Math.sqrt(12 * 12_000), 3);
});
