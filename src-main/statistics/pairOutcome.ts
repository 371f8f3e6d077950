import type { PairTest } from '../contract/evaluation/comparison.ts';
import { bootstrapMean } from './bootstrap.ts';
import {
  clusteredMean,
  clusteredMeanInterval,
  clustersOf,
  clusterSums,
  itemsWorth,
  type Clusters,
} from './clusters.ts';
import { pairedDifferenceInterval, type Interval, type PairedCounts } from './intervals.ts';
import { deviation, mean } from './seeds.ts';
import { clusteredSignedRank, mcNemarExact, signFlipTest, wilcoxonSignedRank } from './pairedTests.ts';

/** What an item's value is: right or wrong, a share from 0 to 1, or a loss in nats. */
export type ScoreKind = 'right' | 'share' | 'loss';

/** Two subjects on the same items; differences are those of b less a. */
export interface PairOutcome {
  /** Items graded for both. */
  n: number;
  scoreA: number;
  scoreB: number;
  difference: number;
  /** 95 %, widened by what could not be graded. */
  interval: Interval;
  test: PairTest;
  pValue: number;
  /** Items on which the two differ. */
  differing: number;
  /** Null where the values are not right or wrong. */
  counts: PairedCounts | null;
  /** Standard deviation of the differences item by item. */
  deviation: number;
  /** Groups of items that belong together; null: each stands for itself. */
  groups: number | null;
  designEffect: number;
  /** Items drawn one by one that would tell as much. */
  effectiveN: number;
  /** Items that were not graded for a, for b, and for at least one of them. */
  ungraded: { a: number; b: number; items: number };
}

/** From so many clusters on they are drawn anew; fewer show too little of their scatter. */
const fewestDrawn = 20;

/**
 * Compares two subjects on aligned items.
 *
 * Right or wrong: McNemar's exact test and Newcombe's interval; with clusters the same test with the signs of clusters
 * turned together, and Newcombe's interval of the effective number of items. Shares: the signed-rank test and the
 * bootstrap (BCa). Losses: the signed-rank test and Student's interval, with clusters both over clusters.
 *
 * An item that one of them was not graded on leaves the pair and widens the interval: its difference is anything
 * between the bounds that the other answer leaves open. A loss has no bound; there the interval is of the rest alone.
 *
 * @param a, b values of the same items; NaN: not graded
 * @param groups of the items, as they belong together
 * @returns with n = 0 and a difference of 0 where no item was graded for both; null where those were losses
 */
export function pairOutcome(
  kind: ScoreKind,
  a: Float64Array,
  b: Float64Array,
  groups: readonly (string | null)[],
): PairOutcome | null {
  const kept: number[] = [];
  for (let i = 0; i < a.length; i++) if (!Number.isNaN(a[i]!) && !Number.isNaN(b[i]!)) kept.push(i);
  if (kept.length === 0) return kind === 'loss' ? null : nothingGraded(a, b);
  const mine = Float64Array.from(kept, (i) => a[i]!);
  const theirs = Float64Array.from(kept, (i) => b[i]!);
  const differences = mine.map((value, i) => theirs[i]! - value);
  const clusters = clustersOf(kept.map((i) => groups[i] ?? null));
  const found = clusteredMean(differences, clusters);
  const counts = kind === 'right' ? countPairs(mine, theirs) : null;
  const n = kept.length;
  const effectiveN = clusters.isGrouped ? itemsWorth(found) : n;
  const interval = counts
    ? pairedDifferenceInterval(scaled(counts, effectiveN / n))
    : kind === 'share'
      ? shareInterval(differences, clusters, found.mean, effectiveN)
      : (clusteredMeanInterval(found) ?? [found.mean, found.mean]);
  return {
    n,
    scoreA: mean(mine),
    scoreB: mean(theirs),
    difference: found.mean,
    interval: kind === 'loss' ? interval : widened(interval, a, b, n),
    ...test(kind, differences, clusters, counts),
    differing: differences.filter((value) => value !== 0).length,
    counts,
    deviation: n < 2 ? 0 : deviation(differences),
    groups: clusters.isGrouped ? clusters.count : null,
    designEffect: found.designEffect,
    effectiveN,
    ungraded: {
      a: a.filter(Number.isNaN).length,
      b: b.filter(Number.isNaN).length,
      items: a.length - n,
    },
  };
}

function test(
  kind: ScoreKind,
  differences: Float64Array,
  clusters: Clusters,
  counts: PairedCounts | null,
): Pick<PairOutcome, 'test' | 'pValue'> {
  if (kind === 'right')
    return clusters.isGrouped
      ? { test: 'mcnemar_clustered', pValue: signFlipTest(clusterSums(differences, clusters)) }
      : { test: 'mcnemar_exact', pValue: mcNemarExact(counts!.onlyA, counts!.onlyB) };
  return clusters.isGrouped
    ? {
        test: 'signed_rank_clustered',
        pValue: clusteredSignedRank(differences, clusters.of, clusters.count),
      }
    : { test: 'wilcoxon_signed_rank', pValue: wilcoxonSignedRank(differences) };
}

/** All is open: the interval is what the answers of one alone leave open. */
function nothingGraded(a: Float64Array, b: Float64Array): PairOutcome {
  return {
    n: 0,
    scoreA: 0,
    scoreB: 0,
    difference: 0,
    interval: widened([0, 0], a, b, 0),
    test: 'mcnemar_exact',
    pValue: 1,
    differing: 0,
    counts: { both: 0, onlyA: 0, onlyB: 0, neither: 0 },
    deviation: 0,
    groups: null,
    designEffect: 1,
    effectiveN: 0,
    ungraded: { a: a.filter(Number.isNaN).length, b: b.filter(Number.isNaN).length, items: a.length },
  };
}

function countPairs(a: Float64Array, b: Float64Array): PairedCounts {
  const counts = { both: 0, onlyA: 0, onlyB: 0, neither: 0 };
  a.forEach((value, i) => counts[value ? (b[i] ? 'both' : 'onlyA') : b[i] ? 'onlyB' : 'neither']++);
  return counts;
}

function scaled({ both, onlyA, onlyB, neither }: PairedCounts, by: number): PairedCounts {
  return { both: both * by, onlyA: onlyA * by, onlyB: onlyB * by, neither: neither * by };
}

/**
 * Of differences of shares: drawn anew, where they scatter. Where they do not, or are few, Newcombe's interval of items
 * that differ as far as they can: shares of an item scatter less than right and wrong.
 */
function shareInterval(
  differences: Float64Array,
  clusters: Clusters,
  difference: number,
  effectiveN: number,
): Interval {
  if (clusters.count >= fewestDrawn) {
    const drawn = bootstrapMean(differences, clusters);
    if (drawn[0] < drawn[1]) return drawn;
  }
  let [up, down] = [0, 0];
  for (const value of differences) {
    up += Math.max(0, value);
    down += Math.max(0, -value);
  }
  const by = effectiveN / differences.length;
  const same = differences.length - up - down;
  const [low, high] = pairedDifferenceInterval({
    both: (same / 2) * by,
    onlyA: down * by,
    onlyB: up * by,
    neither: (same / 2) * by,
  });
  return [Math.min(low, difference), Math.max(high, difference)];
}

/**
 * theta = c theta_graded + (1 - c) theta_rest, with the rest between its bounds: what is known of one answer bounds the
 * difference to one that is not.
 */
function widened([low, high]: Interval, a: Float64Array, b: Float64Array, graded: number): Interval {
  if (graded === a.length) return [low, high];
  let [least, most] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    const [mine, theirs] = [a[i]!, b[i]!];
    if (!Number.isNaN(mine) && !Number.isNaN(theirs)) continue;
    least += (Number.isNaN(theirs) ? 0 : theirs) - (Number.isNaN(mine) ? 1 : mine);
    most += (Number.isNaN(theirs) ? 1 : theirs) - (Number.isNaN(mine) ? 0 : mine);
  }
  return [(graded * low + least) / a.length, (graded * high + most) / a.length];
}
