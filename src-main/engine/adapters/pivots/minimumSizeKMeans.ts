import { createRandom, type Random } from '../../../data/random.ts';
import { assignWithMinimumSize } from './minimumSizeAssignment.ts';
import type { RowDistances } from './rowDistances.ts';

export interface Clustering {
  /** Cluster of each row. */
  cluster: Int32Array;
  /** Squared Euclidean distance of each row to the mean of its cluster. */
  distance: Float64Array;
  /** Sum of these distances. */
  inertia: number;
  /** Assignments made. */
  iterations: number;
}

/** Lloyd iterations end once one has lowered the inertia by no more than this part. */
const tolerance = 1e-5;
const mostIterations = 300;

/**
 * k-means with a minimum cluster size (PMRC, section 4.1 of the paper): k-means++ seeding, Lloyd iterations whose
 * assignment step is optimal under the bound, until assignments no longer change or hardly lower the inertia. Deterministic by seed.
 *
 * @param engine with the rows set
 */
export function minimumSizeKMeans(
  engine: RowDistances,
  options: { minimumSize: number; seed: number },
): Clustering {
  const { count, clusters } = engine.layout;
  let costs = seedDistances(engine, createRandom(options.seed));
  let cluster: Int32Array = new Int32Array(0);
  let previous = Infinity;
  for (let iterations = 1; ; iterations++) {
    const next = assignWithMinimumSize(costs, count, clusters, options.minimumSize);
    const isSettled = cluster.length > 0 && next.every((c, i) => c === cluster[i]);
    cluster = next;
    costs = engine.toMeans(cluster, sizesOf(cluster, clusters));
    const distance = Float64Array.from(cluster, (c, row) => costs[row * clusters + c]!);
    const inertia = distance.reduce((a, b) => a + b, 0);
    if (isSettled || previous - inertia <= tolerance * inertia || iterations === mostIterations)
      return { cluster, distance, inertia, iterations };
    previous = inertia;
  }
}

function sizesOf(cluster: Int32Array, clusters: number): Int32Array {
  const sizes = new Int32Array(clusters);
  for (const c of cluster) sizes[c]!++;
  return sizes;
}

/**
 * Greedy k-means++ (Arthur and Vassilvitskii 2007): candidates for the next seed are drawn with probability proportional to the squared
 * distance D^2 to the nearest seed so far; the one that leaves the least sum of D^2 is taken.
 * @returns distances of all rows to the seeds [count * clusters]
 */
function seedDistances(engine: RowDistances, random: Random): Float32Array {
  const { layout, candidates } = engine;
  const { count, clusters } = layout;
  const costs = new Float32Array(count * clusters);
  let nearest = new Float64Array(count).fill(Infinity);
  for (let c = 0; c < clusters; c++) {
    const drawn =
      c === 0
        ? new Int32Array(candidates).fill(random.integer(count))
        : Int32Array.from({ length: candidates }, () => draw(nearest, random));
    const distances = engine.toRows(drawn);
    // Rounding must not let a seed be drawn again.
    drawn.forEach((row, i) => (distances[row * candidates + i] = 0));
    let best = { candidate: -1, total: Infinity, nearest };
    for (let i = 0; i < (c === 0 ? 1 : candidates); i++) {
      const after = nearest.map((least, row) => Math.min(least, distances[row * candidates + i]!));
      const total = after.reduce((a, b) => a + b, 0);
      if (total < best.total) best = { candidate: i, total, nearest: after };
    }
    nearest = best.nearest;
    for (let row = 0; row < count; row++)
      costs[row * clusters + c] = distances[row * candidates + best.candidate]!;
  }
  return costs;
}

/** An index drawn with probability proportional to its weight; uniformly where all weights are 0. */
function draw(weights: Float64Array, random: Random): number {
  const total = weights.reduce((a, b) => a + b, 0);
  if (total === 0) return random.integer(weights.length);
  let target = random.next() * total;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    last = i;
    target -= weights[i]!;
    if (target <= 0) break;
  }
  return last;
}
