import { clusterSizes, clusterSums, type Clusters } from './clusters.ts';
import type { Interval } from './intervals.ts';
import { normalBelow, normalQuantile } from './normal.ts';
import { createRandom } from './random.ts';
import { studentQuantile } from './student.ts';

export interface BootstrapOptions {
  resamples?: number;
  /** Equal seeds give equal intervals. */
  seed?: number;
  confidence?: number;
  /** False: as scipy, whose interval is too narrow where few are drawn. */
  isExpanded?: boolean;
}

export const usualResamples = 10_000;

/**
 * Interval of a mean over items that are drawn anew cluster by cluster (Davison and Hinkley 1997, 3.8), corrected for
 * bias and skewness (BCa: Efron 1987, with the acceleration of the jackknife over clusters, as scipy.stats.bootstrap).
 * A drawn cluster brings all its items, so that the mean is a ratio of sums. The tails are those of Student's t with
 * the variance of a sample (Hesterberg 2015, "What teachers should know about the bootstrap", expanded percentiles):
 * with 30 clusters the plain interval misses in 8 of 100 cases.
 *
 * @param values one an item; without clusters each is drawn alone
 * @returns [value, value] where all clusters have one mean: they show no scatter
 */
export function bootstrapMean(
  values: ArrayLike<number>,
  clusters: Clusters | null = null,
  { resamples = usualResamples, seed = 0, confidence = 0.95, isExpanded = true }: BootstrapOptions = {},
): Interval {
  const isGrouped = clusters?.isGrouped ?? false;
  const sums = isGrouped ? clusterSums(values, clusters!) : Float64Array.from(values);
  const sizes = isGrouped ? clusterSizes(clusters!) : null;
  if (sums.length === 0) throw new Error('bootstrap: no values');
  const estimate = ratio(sums, sizes);
  const drawn = drawMeans(sums, sizes, resamples, seed);
  const count = sums.length;
  const reached =
    isExpanded && count > 1
      ? 1 - 2 * normalBelow(-Math.sqrt(count / (count - 1)) * studentQuantile(count - 1, confidence))
      : confidence;
  return bcaInterval(drawn, estimate, jackknifedMeans(sums, sizes), reached);
}

function ratio(sums: Float64Array, sizes: Float64Array | null): number {
  const total = (list: Float64Array) => list.reduce((sum, value) => sum + value, 0);
  return total(sums) / (sizes ? total(sizes) : sums.length);
}

/** Means of as many draws with replacement as there are clusters, sorted. */
function drawMeans(
  sums: Float64Array,
  sizes: Float64Array | null,
  resamples: number,
  seed: number,
): Float64Array {
  const random = createRandom(seed);
  const count = sums.length;
  const chosen = new Int32Array(count);
  const means = new Float64Array(resamples);
  for (let draw = 0; draw < resamples; draw++) {
    random.fillIntegers(chosen, count);
    let [sum, size] = [0, 0];
    for (let i = 0; i < count; i++) sum += sums[chosen[i]!]!;
    if (sizes) for (let i = 0; i < count; i++) size += sizes[chosen[i]!]!;
    means[draw] = sum / (sizes ? size : count);
  }
  return means.sort();
}

/** The mean without each of the clusters. */
function jackknifedMeans(sums: Float64Array, sizes: Float64Array | null): Float64Array {
  let [total, items] = [0, 0];
  for (let i = 0; i < sums.length; i++) {
    total += sums[i]!;
    items += sizes ? sizes[i]! : 1;
  }
  return sums.map((sum, i) => (total - sum) / (items - (sizes ? sizes[i]! : 1)));
}

/**
 * The bias-corrected and accelerated interval (Efron 1987).
 * @param drawn estimates of the resamples, sorted
 * @param without estimates without each of the units that are drawn; one unit has none, and no correction
 */
export function bcaInterval(
  drawn: Float64Array,
  estimate: number,
  without: Float64Array,
  confidence: number,
): Interval {
  const tail = (1 - confidence) / 2;
  const [first, last] = [drawn[0]!, drawn[drawn.length - 1]!];
  // Equal but for the rounding of sums in another order.
  if (last - first <= 1e-12 * Math.abs(estimate)) return [estimate, estimate];
  // Ties with the estimate count half: of right and wrong answers there are many.
  let [below, equal] = [0, 0];
  for (const value of drawn) {
    if (value < estimate) below++;
    else if (value === estimate) equal++;
    else break;
  }
  const share = (below + equal / 2) / drawn.length;
  const least = 1 / (drawn.length + 1);
  const bias = normalQuantile(Math.min(1 - least, Math.max(least, share)));
  const middle = without.reduce((sum, value) => sum + value, 0) / without.length;
  let [squares, cubes] = [0, 0];
  for (const value of without) {
    squares += (middle - value) ** 2;
    cubes += (middle - value) ** 3;
  }
  const acceleration = squares > 0 ? cubes / (6 * squares ** 1.5) : 0;
  const at = (p: number) => {
    const z = bias + normalQuantile(p);
    return quantile(drawn, normalBelow(bias + z / (1 - acceleration * z)));
  };
  return [at(tail), at(1 - tail)];
}

/** Of sorted values, between neighbors in proportion. */
export function quantile(sorted: ArrayLike<number>, p: number): number {
  const place = Math.min(1, Math.max(0, p)) * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.min(sorted.length - 1, low + 1);
  return sorted[low]! + (place - low) * (sorted[high]! - sorted[low]!);
}
