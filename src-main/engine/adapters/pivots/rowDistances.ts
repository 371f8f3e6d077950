import { Graph } from '../../graph/graph.ts';
import {
  add,
  cast,
  equal,
  maximum,
  multiply,
  scalarLike,
  scale,
  square,
  subtract,
} from '../../graph/ops/elementwise.ts';
import { gather, reshape } from '../../graph/ops/layout.ts';
import { matmul } from '../../graph/ops/linear.ts';
import { mean } from '../../graph/ops/neural.ts';
import { sum } from '../../graph/ops/reduce.ts';
import { asWords, effectEntry, openSession, type Tensorflow } from '../../graph/session.ts';
import { assignVariable, createVariable, readVariable, releaseVariable } from '../../graph/variables.ts';
import { decodeWords, type StoredDType } from '../../graph/words.ts';

/** Sizes of a matrix and of its clustering, and the type its values are stored in. */
export interface RowLayout {
  count: number;
  dimensions: number;
  clusters: number;
  stored: StoredDType;
}

/**
 * Squared Euclidean distances that k-means over the rows of a matrix needs, computed by TensorFlow as |x|^2 - 2 x.c +
 * |c|^2 with one matrix product. The matrix enters once, as the bytes it is stored in; rows and centroids never leave
 * the session, only distances do.
 *
 * Rows are centred on their mean first: distances stay as they are, and less of them is lost to cancellation.
 *
 * Memory: the stored bytes twice (here and on their way in) and the matrix at most twice in f32 while it is set, once
 * until it is released.
 */
export class RowDistances {
  readonly layout: RowLayout;
  /** Rows that `toRows` takes at a time: candidates of k-means++. */
  readonly candidates: number;
  readonly #session: Awaited<ReturnType<typeof openDistances>>;

  private constructor(
    session: Awaited<ReturnType<typeof openDistances>>,
    layout: RowLayout,
    candidates: number,
  ) {
    this.#session = session;
    this.layout = layout;
    this.candidates = candidates;
  }

  static async open(tf: Tensorflow, layout: RowLayout): Promise<RowDistances> {
    // As scikit-learn's k-means++ has it (Arthur and Vassilvitskii 2007 suggest several trials without a number).
    const candidates = 2 + Math.floor(Math.log(layout.clusters));
    return new RowDistances(await openDistances(tf, layout, candidates), layout, candidates);
  }

  /** Sets the rows; call it first. @param bytes the matrix as it is stored, row by row */
  set(bytes: Uint8Array): void {
    this.#session.run('set', { words: asWords(bytes) });
  }

  /** Distance of every row to some rows. @param indices i32 [candidates] @returns [count * candidates] */
  toRows(indices: Int32Array): Float32Array {
    return this.#session.run('toRows', { indices }).distances as Float32Array;
  }

  /**
   * Distance of every row to the mean of every cluster.
   * @param cluster i32 [count], cluster of each row
   * @param sizes rows of each cluster, none 0
   * @returns [count * clusters]
   */
  toMeans(cluster: Int32Array, sizes: ArrayLike<number>): Float32Array {
    const weights = Float32Array.from(sizes, (size) => 1 / size);
    return this.#session.run('toMeans', { cluster, weights }).distances as Float32Array;
  }

  /** Frees the rows; others may be set. */
  release(): void {
    this.#session.run('release', {});
  }

  close(): void {
    this.#session.close();
  }
}

function openDistances(tf: Tensorflow, layout: RowLayout, candidates: number) {
  const { count, dimensions, clusters, stored } = layout;
  const graph = new Graph({ fusion: false });
  const rows = createVariable(graph, 'rows', [count, dimensions], 'f32');
  const norms = createVariable(graph, 'norms', [count, 1], 'f32');

  const words = graph.placeholder('words', [-1], 'i32');
  const given = cast(decodeWords(words, stored, [count, dimensions]), 'f32');
  const centred = subtract(given, mean(given, [0], true));
  const assigned = [assignVariable(rows, centred), assignVariable(norms, sum(square(centred), [1], true))];

  /** @param centres [n, dimensions] @returns [count, n] */
  const distancesTo = (centres: typeof centred) => {
    const products = matmul(readVariable(rows), centres, { transposeY: true });
    const centreNorms = reshape(sum(square(centres), [1]), [1, centres.shape[0]!]);
    const distances = add(add(readVariable(norms), centreNorms), scale(products, -2));
    return maximum(distances, scalarLike(distances, 0));
  };

  const indices = graph.placeholder('indices', [candidates], 'i32');
  const cluster = graph.placeholder('cluster', [count], 'i32');
  const weights = graph.placeholder('weights', [clusters], 'f32');
  const numbers = graph.constant([...Array(clusters).keys()], 'i32', [clusters, 1]);
  const members = cast(equal(reshape(cluster, [1, count]), numbers), 'f32');
  const means = multiply(matmul(members, readVariable(rows)), reshape(weights, [clusters, 1]));

  return openSession(tf, graph, {
    set: { ...effectEntry(graph, assigned), inputs: { words } },
    toRows: {
      inputs: { indices },
      outputs: { distances: distancesTo(gather(readVariable(rows), indices, 0)) },
    },
    toMeans: { inputs: { cluster, weights }, outputs: { distances: distancesTo(means) } },
    release: effectEntry(graph, [rows, norms].map(releaseVariable)),
  });
}
