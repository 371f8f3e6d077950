import { createRandom, type Random } from '../../../data/random.ts';
import { assignWithMinimumSize } from './minimumSizeAssignment.ts';
import type { RowProducts } from './rowProducts.ts';

export interface Clustering {
  /** Cluster of each row. */
  cluster: Int32Array;
  /** Squared Euclidean distance of each row to the centroid of its cluster. */
  distance: Float64Array;
  /** Sum of these distances. */
  inertia: number;
  iterations: number;
}

/**
 * k-means with a minimum cluster size (PMRC, section 4.1 of the paper): k-means++ seeding, Lloyd iterations whose
 * assignment step is optimal under the bound, until the assignment no longer changes. Deterministic by seed.
 *
 * @param rows [count * dimensions], row by row
 * @param engine for so many rows, dimensions and clusters
 */
export function minimumSizeKMeans(
  rows: Float32Array,
  engine: RowProducts,
  options: { minimumSize: number; seed: number; maxIterations?: number },
): Clustering {
  const { minimumSize, seed, maxIterations = 100 } = options;
  const { count, dimensions, clusters } = engine;
  engine.set(rows);
  const norms = squaredNorms(rows, count, dimensions);
  let centroids = seedCentroids(rows, norms, engine, createRandom(seed));
  let cluster: Int32Array = new Int32Array(count).fill(-1);
  for (let iterations = 1; ; iterations++) {
    const costs = squaredDistances(norms, centroids, engine);
    const next = assignWithMinimumSize(costs, count, clusters, minimumSize);
    const settled = next.every((c, i) => c === cluster[i]);
    cluster = next;
    if (settled || iterations === maxIterations) {
      const distance = Float64Array.from(cluster, (c, p) => costs[p * clusters + c]!);
      return { cluster, distance, inertia: distance.reduce((a, b) => a + b, 0), iterations };
    }
    centroids = means(engine.sums(cluster), cluster, centroids, dimensions);
  }
}

function squaredNorms(rows: Float32Array, count: number, dimensions: number): Float64Array {
  const norms = new Float64Array(count);
  for (let p = 0; p < count; p++) {
    let total = 0;
    for (let d = p * dimensions; d < (p + 1) * dimensions; d++) total += rows[d]! * rows[d]!;
    norms[p] = total;
  }
  return norms;
}

/** |row - centroid|^2 for all pairs [count * clusters], as |row|^2 - 2 row.centroid + |centroid|^2, not below 0. */
function squaredDistances(norms: Float64Array, centroids: Float32Array, engine: RowProducts): Float64Array {
  const { count, dimensions, clusters } = engine;
  const products = engine.products(centroids);
  const centroidNorms = squaredNorms(centroids, clusters, dimensions);
  const costs = new Float64Array(count * clusters);
  for (let p = 0; p < count; p++)
    for (let c = 0; c < clusters; c++) {
      const at = p * clusters + c;
      costs[at] = Math.max(0, norms[p]! - 2 * products[at]! + centroidNorms[c]!);
    }
  return costs;
}

/** k-means++ (Arthur and Vassilvitskii 2007): each new seed is drawn with probability proportional to D^2. */
function seedCentroids(
  rows: Float32Array,
  norms: Float64Array,
  engine: RowProducts,
  random: Random,
): Float32Array {
  const { count, dimensions, clusters } = engine;
  const centroids = new Float32Array(clusters * dimensions);
  let chosen = random.integer(count);
  for (let c = 0; c < clusters; c++) {
    centroids.set(rows.subarray(chosen * dimensions, (chosen + 1) * dimensions), c * dimensions);
    if (c === clusters - 1) break;
    const distances = squaredDistances(norms, centroids, engine);
    const nearest = new Float64Array(count);
    let total = 0;
    for (let p = 0; p < count; p++) {
      let least = Infinity;
      for (let known = 0; known <= c; known++) least = Math.min(least, distances[p * clusters + known]!);
      nearest[p] = least;
      total += least;
    }
    let target = random.next() * total;
    chosen = 0;
    while (chosen < count - 1 && (target -= nearest[chosen]!) > 0) chosen++;
  }
  return centroids;
}

/** Mean of each cluster's rows; an empty cluster (possible only without a minimum) keeps its centroid. */
function means(
  sums: Float32Array,
  cluster: Int32Array,
  previous: Float32Array,
  dimensions: number,
): Float32Array {
  const sizes = new Int32Array(previous.length / dimensions);
  for (const c of cluster) sizes[c]!++;
  return sums.map((value, i) => {
    const size = sizes[Math.floor(i / dimensions)]!;
    return size === 0 ? previous[i]! : value / size;
  });
}
