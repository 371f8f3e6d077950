import { createRandom, type Random } from '../../../data/random.ts';
import { assignWithMinimumSize } from './minimumSizeAssignment.ts';

export interface Clustering {
  /** Cluster of each row. */
  cluster: Int32Array;
  /** [clusters * dimensions] */
  centroids: Float64Array;
  /** Sum of squared Euclidean distances of the rows to their centroids. */
  inertia: number;
  iterations: number;
}

/**
 * k-means with a minimum cluster size (PMRC, section 4.1 of the paper): k-means++ seeding, Lloyd iterations whose
 * assignment step is optimal under the bound, until the assignment no longer changes. Deterministic by seed.
 *
 * @param rows [count * dimensions], row by row
 */
export function minimumSizeKMeans(
  rows: Float32Array,
  count: number,
  dimensions: number,
  options: { clusters: number; minimumSize: number; seed: number; maxIterations?: number },
): Clustering {
  const { clusters, minimumSize, seed, maxIterations = 100 } = options;
  const norms = squaredNorms(rows, count, dimensions);
  let centroids = seedCentroids(rows, norms, count, dimensions, clusters, createRandom(seed));
  let cluster: Int32Array = new Int32Array(count).fill(-1);
  for (let iterations = 1; ; iterations++) {
    const costs = squaredDistances(rows, norms, centroids, count, dimensions, clusters);
    const next = assignWithMinimumSize(costs, count, clusters, minimumSize);
    const settled = next.every((c, i) => c === cluster[i]);
    cluster = next;
    if (settled || iterations === maxIterations) {
      let inertia = 0;
      for (let p = 0; p < count; p++) inertia += costs[p * clusters + cluster[p]!]!;
      return { cluster, centroids, inertia, iterations };
    }
    centroids = meansOf(rows, cluster, count, dimensions, centroids);
  }
}

function squaredNorms(rows: Float32Array, count: number, dimensions: number): Float64Array {
  return Float64Array.from({ length: count }, (_, p) => {
    let total = 0;
    for (let d = p * dimensions; d < (p + 1) * dimensions; d++) total += rows[d]! * rows[d]!;
    return total;
  });
}

/** |row - centroid|^2 for all pairs [count * clusters], as |row|^2 - 2 row.centroid + |centroid|^2, not below 0. */
export function squaredDistances(
  rows: Float32Array,
  norms: Float64Array,
  centroids: Float64Array,
  count: number,
  dimensions: number,
  clusters: number,
): Float64Array {
  const costs = new Float64Array(count * clusters);
  for (let c = 0; c < clusters; c++) {
    const centroid = centroids.subarray(c * dimensions, (c + 1) * dimensions);
    let centroidNorm = 0;
    for (let d = 0; d < dimensions; d++) centroidNorm += centroid[d]! * centroid[d]!;
    for (let p = 0; p < count; p++) {
      let product = 0;
      const at = p * dimensions;
      for (let d = 0; d < dimensions; d++) product += rows[at + d]! * centroid[d]!;
      costs[p * clusters + c] = Math.max(0, norms[p]! - 2 * product + centroidNorm);
    }
  }
  return costs;
}

/** k-means++ (Arthur and Vassilvitskii 2007): each new seed is drawn with probability proportional to D^2. */
function seedCentroids(
  rows: Float32Array,
  norms: Float64Array,
  count: number,
  dimensions: number,
  clusters: number,
  random: Random,
): Float64Array {
  const centroids = new Float64Array(clusters * dimensions);
  const nearest = new Float64Array(count).fill(Infinity);
  let chosen = random.integer(count);
  for (let c = 0; c < clusters; c++) {
    const centroid = Float64Array.from(rows.subarray(chosen * dimensions, (chosen + 1) * dimensions));
    centroids.set(centroid, c * dimensions);
    const distances = squaredDistances(rows, norms, centroid, count, dimensions, 1);
    let total = 0;
    for (let p = 0; p < count; p++) {
      nearest[p] = Math.min(nearest[p]!, distances[p]!);
      total += nearest[p]!;
    }
    let target = random.next() * total;
    chosen = 0;
    while (chosen < count - 1 && (target -= nearest[chosen]!) > 0) chosen++;
  }
  return centroids;
}

/** Mean of each cluster's rows; an empty cluster (possible only without a minimum) keeps its centroid. */
function meansOf(
  rows: Float32Array,
  cluster: Int32Array,
  count: number,
  dimensions: number,
  previous: Float64Array,
): Float64Array {
  const clusters = previous.length / dimensions;
  const sums = new Float64Array(previous.length);
  const sizes = new Int32Array(clusters);
  for (let p = 0; p < count; p++) {
    const c = cluster[p]!;
    sizes[c]!++;
    for (let d = 0; d < dimensions; d++) sums[c * dimensions + d]! += rows[p * dimensions + d]!;
  }
  return sums.map((value, i) => {
    const size = sizes[Math.floor(i / dimensions)]!;
    return size === 0 ? previous[i]! : value / size;
  });
}
