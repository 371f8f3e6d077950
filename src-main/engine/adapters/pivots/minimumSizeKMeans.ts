import { createRandom, type Random } from '../../../statistics/random.ts';
import { assignWithMinimumSize } from './minimumSizeAssignment.ts';
import type { RowDistances } from './rowDistances.ts';

export interface Clustering {
  /** Cluster of each row. */
  cluster: Int32Array;
  /** Squared Euclidean distance of each row to the mean of its cluster. */
  distance: Float64Array;
  /** Sum of these distances. */
  inertia: number;
  /** Assignments made, those of given up starts included. */
  iterations: number;
}

/**
 * Seedings that are tried, each for a few iterations; the one with the least inertia then goes on. Where rows form
 * clusters a single seeding ends, by chance, in a local optimum up to a fifth above the best one, and no tolerance
 * brings it out of there.
 */
const starts = 3;
const trialIterations = 2;

/** Lloyd iterations end once one has lowered the inertia by no more than this part. */
const tolerance = 1e-5;
const mostIterations = 300;

/**
 * k-means with a minimum cluster size (PMRC, section 4.1 of the paper): k-means++ seeding, Lloyd iterations whose
 * assignment step is optimal under the bound, until assignments hardly lower the inertia any more. The best of several
 * starts. Deterministic by seed.
 *
 * @param engine with the rows set
 */
export function minimumSizeKMeans(
  engine: RowDistances,
  options: { minimumSize: number; seed: number },
): Clustering {
  const random = createRandom(options.seed);
  const iterate = (costs: Float32Array) => iteration(engine, costs, options.minimumSize);
  const trials = Array.from({ length: starts }, () => {
    let trial = iterate(seedDistances(engine, random));
    for (let i = 1; i < trialIterations; i++) trial = iterate(trial.costs);
    return trial;
  });
  let best = trials.reduce((least, trial) => (trial.inertia < least.inertia ? trial : least));
  for (let iterations = starts * trialIterations + 1; ; iterations++) {
    const previous = best.inertia;
    best = iterate(best.costs);
    const { cluster, distance, inertia } = best;
    if (previous - inertia <= tolerance * inertia || iterations === mostIterations)
      return { cluster, distance, inertia, iterations };
  }
}

/**
 * One Lloyd iteration.
 * @param costs squared distances of all rows to the centres [count * clusters]
 * @returns the optimal assignment to these centres; distances and inertia are to the means of the clusters that it
 * makes, and so are `costs`, those of the next iteration
 */
function iteration(engine: RowDistances, costs: Float32Array, minimumSize: number) {
  const { count, clusters } = engine.layout;
  const cluster = assignWithMinimumSize(costs, count, clusters, minimumSize);
  const toMeans = engine.toMeans(cluster, sizesOf(cluster, clusters));
  const distance = Float64Array.from(cluster, (c, row) => toMeans[row * clusters + c]!);
  return { cluster, distance, inertia: distance.reduce((a, b) => a + b, 0), costs: toMeans };
}

function sizesOf(cluster: Int32Array, clusters: number): Int32Array {
  const sizes = new Int32Array(clusters);
  for (const c of cluster) sizes[c]!++;
  return sizes;
}

/**
 * Greedy k-means++ (Arthur and Vassilvitskii 2007): candidates for the next seed are drawn with probability
 * proportional to the squared distance D^2 to the nearest seed so far; the one that leaves the least sum of D^2 is
 * taken.
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
