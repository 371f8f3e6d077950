import { wilsonInterval, z95, type Interval } from './intervals.ts';
import { studentQuantile } from './student.ts';

/** Which items belong together: questions of a subject, samples of a problem, questions on a passage. */
export interface Clusters {
  /** Number of each item's cluster, from 0. */
  of: Int32Array;
  count: number;
  /** Whether items belong together, in groups enough to speak of groups; else each item stands for itself. */
  isGrouped: boolean;
}

/**
 * Fewer groups are no sample of groups but categories, such as the safe and the unsafe half of a benchmark: what is
 * measured are those, and their items are taken as drawn one by one. Of five no outcome would reach 5 %.
 */
export const fewestGroups = 6;

/** Numbers the groups of items in the order in which they come. An item without a group is one of its own. */
export function clustersOf(groups: readonly (string | null)[]): Clusters {
  const numbers = new Map<string, number>();
  const of = new Int32Array(groups.length);
  let count = 0;
  for (const [i, group] of groups.entries()) {
    const known = group === null ? undefined : numbers.get(group);
    of[i] = known ?? count++;
    if (group !== null && known === undefined) numbers.set(group, of[i]);
  }
  if (count >= fewestGroups || count === groups.length)
    return { of, count, isGrouped: count < groups.length };
  return { of: Int32Array.from(groups.keys()), count: groups.length, isGrouped: false };
}

/** Sums of the values of each cluster. */
export function clusterSums(values: ArrayLike<number>, { of, count }: Clusters): Float64Array {
  const sums = new Float64Array(count);
  for (let i = 0; i < of.length; i++) sums[of[i]!]! += values[i]!;
  return sums;
}

/** Numbers of items of each cluster. */
export function clusterSizes({ of, count }: Clusters): Float64Array {
  const sizes = new Float64Array(count);
  for (const cluster of of) sizes[cluster]!++;
  return sizes;
}

export interface ClusteredMean {
  mean: number;
  /** Standard error of the mean; null with fewer than two clusters. */
  error: number | null;
  /** Degrees of freedom of its t: clusters less one. */
  freedom: number;
  /** How many times the variance is that of as many items drawn one by one; at least 1. */
  designEffect: number;
  /** So many items drawn one by one would tell as much. */
  effectiveN: number;
}

/**
 * The mean of values in clusters with its cluster-robust standard error (Liang and Zeger 1986; as statsmodels' OLS on a
 * constant with `cov_type="cluster"`):
 *
 *   SE^2 = G / (G - 1) * sum_g (sum_{i in g} (x_i - mean))^2 / n^2
 *
 * The design effect is SE^2 over s^2 / n (Kish 1965). Below 1 it is mostly chance, and taken as 1. Where all values
 * are equal they do not show how clusters hang together: each cluster then counts as one item.
 */
export function clusteredMean(values: ArrayLike<number>, clusters: Clusters): ClusteredMean {
  const n = values.length;
  const groups = clusters.count;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += values[i]!;
  const mean = sum / n;
  let squares = 0;
  const residuals = Float64Array.from(values, (value) => value - mean);
  for (const residual of residuals) squares += residual ** 2;
  let clustered = 0;
  for (const residual of clusterSums(residuals, clusters)) clustered += residual ** 2;
  const found = errorOverGroups({ n, groups, mean, squares, clustered });
  const designEffect = clusters.isGrouped ? found.designEffect : 1;
  return { mean, error: found.error, freedom: groups - 1, designEffect, effectiveN: n / designEffect };
}

/**
 * The same from sums alone.
 * @param squares of the residuals of items; clustered: of their sums over groups
 */
export function errorOverGroups(sums: {
  n: number;
  groups: number;
  mean: number;
  squares: number;
  clustered: number;
}): { error: number | null; designEffect: number } {
  const { n, groups, mean, squares, clustered } = sums;
  const error = groups < 2 ? null : Math.sqrt((groups / (groups - 1)) * clustered) / n;
  // Rounding of a mean leaves residuals behind where all values are equal.
  const isFlat = !(squares > 1e-14 * (n * mean ** 2));
  if (error === null || isFlat) return { error, designEffect: n / groups };
  return { error, designEffect: Math.max(1, error ** 2 / (squares / (n - 1) / n)) };
}

/**
 * Items drawn one by one of which the normal quantile would say what clusters say with Student's t: the effective
 * number, less what few clusters leave unknown of it (Korn and Graubard 1998).
 */
export function itemsWorth({ effectiveN, freedom }: Pick<ClusteredMean, 'effectiveN' | 'freedom'>): number {
  return effectiveN * (z95 / studentQuantile(freedom, 0.95)) ** 2;
}

/**
 * 95 % interval of a share over clusters: Wilson's with the effective number of items (Korn and Graubard 1998; Dean and
 * Pagano 2015 find that it keeps its level where the linear one does not). Values may be shares of an item: their
 * variance is below that of right and wrong, so that it errs on the wide side.
 */
export function clusteredWilson(values: ArrayLike<number>, clusters: Clusters): Interval {
  const found = clusteredMean(values, clusters);
  const n = clusters.isGrouped ? itemsWorth(found) : values.length;
  return wilsonInterval(found.mean * n, n);
}

/** 95 % interval of a mean over clusters by Student's t; null with fewer than two clusters. */
export function clusteredMeanInterval({ mean, error, freedom }: ClusteredMean): Interval | null {
  if (error === null) return null;
  const half = studentQuantile(freedom, 0.95) * error;
  return [mean - half, mean + half];
}
