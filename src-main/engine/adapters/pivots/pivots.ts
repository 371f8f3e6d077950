import { StudioError } from '../../../contract/errors.ts';
import type { RowStrategy } from '../../../contract/training.ts';
import { createRandom } from '../../../statistics/random.ts';
import type { Tensorflow } from '../../graph/session.ts';
import type { StoredDType } from '../../graph/words.ts';
import { minimumSizeKMeans } from './minimumSizeKMeans.ts';
import { RowDistances } from './rowDistances.ts';

/** A weight whose rows are chosen from: W [count, dimensions], read only where the strategy needs its values. */
export interface RowSource {
  count: number;
  dimensions: number;
  stored: StoredDType;
  /** As stored, row by row. */
  bytes(): Uint8Array;
}

/** Chooses pivots for one module after the other; sessions are shared by modules of the same size. */
export class PivotChooser {
  readonly #tf: Tensorflow;
  readonly #engines = new Map<string, RowDistances>();

  constructor(tf: Tensorflow) {
    this.#tf = tf;
  }

  /** For bases that are no rows. */
  get tensorflow(): Tensorflow {
    return this.#tf;
  }

  /**
   * The rows S of W that become the frozen bases of ID-LoRA: k groups of r row indices, cluster by cluster.
   *
   * - `pmrc` (section 4.1): k-means over the rows with at least r rows a cluster; of each cluster the r rows
   *   nearest to its centroid, nearest first.
   * - `serial` (5.5.2, SS): the first k r rows, dealt to the groups in contiguous runs.
   * - `random` (5.5.2, RS): k r distinct rows drawn uniformly.
   *
   * @returns i32 [k * r], all different
   */
  async choose(
    strategy: RowStrategy,
    source: RowSource,
    options: { clusters: number; rank: number; seed: number },
  ): Promise<Int32Array> {
    const { clusters, rank, seed } = options;
    const { count } = source;
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
      case 'pmrc': {
        const engine = await this.#engine(source, clusters);
        engine.set(source.bytes());
        try {
          const { cluster, distance } = minimumSizeKMeans(engine, { minimumSize: rank, seed });
          return nearestRows(cluster, distance, clusters, rank);
        } finally {
          engine.release();
        }
      }
      default:
        throw new Error(`unknown pivot strategy ${String(strategy satisfies never)}`);
    }
  }

  close(): void {
    for (const engine of this.#engines.values()) engine.close();
    this.#engines.clear();
  }

  async #engine({ count, dimensions, stored }: RowSource, clusters: number): Promise<RowDistances> {
    const key = `${count} ${dimensions} ${stored} ${clusters}`;
    const engine =
      this.#engines.get(key) ?? (await RowDistances.open(this.#tf, { count, dimensions, clusters, stored }));
    this.#engines.set(key, engine);
    return engine;
  }
}

/** The `rank` members of each cluster that are nearest to its centroid; ties go to the smaller index. */
export function nearestRows(
  cluster: Int32Array,
  distance: Float64Array,
  clusters: number,
  rank: number,
): Int32Array {
  const members = Array.from({ length: clusters }, () => [] as number[]);
  cluster.forEach((c, row) => members[c]!.push(row));
  return Int32Array.from(
    members.flatMap((rows) => rows.sort((a, b) => distance[a]! - distance[b]! || a - b).slice(0, rank)),
  );
}
