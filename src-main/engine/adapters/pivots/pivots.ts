import { StudioError } from '../../../contract/errors.ts';
import type { PivotStrategy } from '../../../contract/training.ts';
import { createRandom } from '../../../data/random.ts';
import { minimumSizeKMeans } from './minimumSizeKMeans.ts';

/**
 * Chooses the rows S of W that become the frozen bases of ID-LoRA: k groups of r row indices, cluster by cluster.
 *
 * - `pmrc` (section 4.1): k-means over the rows with at least r rows a cluster; of each cluster the r rows
 *   nearest to its centroid, nearest first.
 * - `serial` (5.5.2, SS): the first k r rows, dealt to the groups in contiguous runs.
 * - `random` (5.5.2, RS): k r distinct rows drawn uniformly.
 *
 * @param rows W [count * dimensions], f32, row by row
 * @returns i32 [k * r], all different
 */
export function choosePivots(
  strategy: PivotStrategy,
  rows: Float32Array,
  count: number,
  dimensions: number,
  options: { clusters: number; rank: number; seed: number },
): Int32Array {
  const { clusters, rank, seed } = options;
  if (clusters * rank > count)
    throw new StudioError(
      'config_invalid',
      `ID-LoRA needs clusters x rank = ${clusters} x ${rank} = ${clusters * rank} different rows of W, which has ${count}.`,
      `Choose a rank of at most ${Math.floor(count / clusters)} or at most ${Math.floor(count / rank)} clusters.`,
    );
  switch (strategy) {
    case 'serial':
      return Int32Array.from({ length: clusters * rank }, (_, i) => i);
    case 'random':
      return Int32Array.from(
        createRandom(seed)
          .shuffle([...Array(count).keys()])
          .slice(0, clusters * rank),
      );
    case 'pmrc':
      return nearestRows(rows, count, dimensions, clusters, rank, seed);
    default:
      throw new Error(`unknown pivot strategy ${String(strategy satisfies never)}`);
  }
}

function nearestRows(
  rows: Float32Array,
  count: number,
  dimensions: number,
  clusters: number,
  rank: number,
  seed: number,
): Int32Array {
  const { cluster, centroids } = minimumSizeKMeans(rows, count, dimensions, {
    clusters,
    minimumSize: rank,
    seed,
  });
  const distance = Float64Array.from({ length: count }, (_, p) => {
    let total = 0;
    for (let d = 0; d < dimensions; d++) {
      const difference = rows[p * dimensions + d]! - centroids[cluster[p]! * dimensions + d]!;
      total += difference * difference;
    }
    return total;
  });
  const pivots: number[] = [];
  for (let c = 0; c < clusters; c++) {
    const members = [...Array(count).keys()].filter((p) => cluster[p] === c);
    members.sort((a, b) => distance[a]! - distance[b]! || a - b);
    pivots.push(...members.slice(0, rank));
  }
  return Int32Array.from(pivots);
}
