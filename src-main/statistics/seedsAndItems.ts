import { clusterSums, type Clusters } from './clusters.ts';
import type { Interval } from './intervals.ts';
import { mean } from './seeds.ts';
import { studentP, studentQuantile } from './student.ts';

/** A variance and how many degrees of freedom it was found with. */
interface Part {
  variance: number;
  freedom: number;
}

export interface CrossedDifference {
  /** Mean of b less that of a. */
  difference: number;
  /** Standard error, over other seeds and other items. */
  error: number;
  freedom: number;
  interval: Interval;
  pValue: number;
  /** Standard errors that seeds alone and items alone would give: what more of either could save. */
  seedError: number;
  itemError: number;
}

/**
 * Compares two settings that were trained with several seeds each, on the same items: would another training on other
 * items say the same? Seeds and items are crossed and both drawn: their variances of the mean are added, less what both
 * contain of the scatter of single answers (Cornfield and Tukey 1956):
 *
 *   V = V_seeds + V_items - V_single, at least the greater of the first two
 *
 * and Student's t has Satterthwaite's degrees of freedom (1946). Items of a cluster count together.
 *
 * @param a, b values of each seed, one an item
 * @param isPaired whether runs at the same place have the same seed: what a seed does to both alike then falls out
 */
export function compareSeedsAndItems(
  a: readonly Float64Array[],
  b: readonly Float64Array[],
  clusters: Clusters,
  isPaired: boolean,
): CrossedDifference {
  const isCrossed = isPaired && a.length === b.length;
  if (a.length < 2 || b.length < 2) throw new Error(`seeds: ${a.length} and ${b.length}`);
  const items = clusters.of.length;
  const arms = isCrossed ? [b.map((values, seed) => values.map((value, i) => value - a[seed]![i]!))] : [a, b];
  const meansOfItems = arms.map((runs) => itemMeans(runs, items));
  const overall = isCrossed
    ? meansOfItems[0]!
    : meansOfItems[1]!.map((value, i) => value - meansOfItems[0]![i]!);
  const difference = mean(overall);

  const seedParts = arms.map((runs): Part => {
    const means = runs.map((run) => mean(run));
    const middle = mean(means);
    const squares = means.reduce((sum, value) => sum + (value - middle) ** 2, 0);
    return { variance: squares / (runs.length - 1) / runs.length, freedom: runs.length - 1 };
  });
  const itemPart: Part = {
    variance: clusteredVariance(
      overall.map((value) => value - difference),
      clusters,
    ),
    freedom: clusters.count - 1,
  };
  const singleParts = arms.map((runs, arm): Part => {
    const seeds = runs.length;
    const middle = mean(meansOfItems[arm]!);
    let variance = 0;
    for (const run of runs) {
      const shift = mean(run) - middle;
      const residuals = run.map((value, i) => value - shift - meansOfItems[arm]![i]!);
      variance += clusteredVariance(residuals, clusters) / (seeds * (seeds - 1));
    }
    return { variance, freedom: (seeds - 1) * (clusters.count - 1) };
  });

  const sum = (parts: readonly Part[]) => parts.reduce((total, { variance }) => total + variance, 0);
  const ofSeeds = sum(seedParts);
  const variance = Math.max(ofSeeds + itemPart.variance - sum(singleParts), ofSeeds, itemPart.variance);
  const parts = [...seedParts, itemPart, ...singleParts];
  const spread = parts.reduce((total, part) => total + part.variance ** 2 / part.freedom, 0);
  const error = Math.sqrt(variance);
  const freedom = spread > 0 ? Math.max(1, variance ** 2 / spread) : itemPart.freedom;
  const half = error > 0 ? studentQuantile(freedom, 0.95) * error : 0;
  return {
    difference,
    error,
    freedom,
    interval: [difference - half, difference + half],
    pValue: error > 0 ? studentP(difference / error, freedom) : difference === 0 ? 1 : 0,
    seedError: Math.sqrt(ofSeeds),
    itemError: Math.sqrt(itemPart.variance),
  };
}

/** Variance of a mean from residuals, cluster by cluster (clusters.ts). */
function clusteredVariance(residuals: Float64Array, clusters: Clusters): number {
  let squares = 0;
  for (const sum of clusterSums(residuals, clusters)) squares += sum ** 2;
  return ((clusters.count / (clusters.count - 1)) * squares) / residuals.length ** 2;
}

function itemMeans(runs: readonly Float64Array[], items: number): Float64Array {
  const means = new Float64Array(items);
  for (const run of runs) for (let i = 0; i < items; i++) means[i]! += run[i]! / runs.length;
  return means;
}
