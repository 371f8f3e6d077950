import { Graph } from '../../graph/graph.ts';
import { matmul } from '../../graph/ops/linear.ts';
import { cast, equal } from '../../graph/ops/elementwise.ts';
import { reshape } from '../../graph/ops/layout.ts';
import { Session, type Tensorflow } from '../../graph/session.ts';
import { assignVariable, createVariable, readVariable } from '../../graph/variables.ts';

/**
 * The two products that k-means over the rows of a matrix needs, computed by TensorFlow: rows times centroids, and sums of rows by cluster.
 * (Distances in plain JavaScript take 0.35 s for 14336 x 4096 and 4 clusters; the product takes 0.03 s.)
 */
export class RowProducts {
  readonly count: number;
  readonly dimensions: number;
  readonly clusters: number;
  readonly #session: Session;

  private constructor(session: Session, count: number, dimensions: number, clusters: number) {
    this.#session = session;
    this.count = count;
    this.dimensions = dimensions;
    this.clusters = clusters;
  }

  static async open(
    tf: Tensorflow,
    count: number,
    dimensions: number,
    clusters: number,
  ): Promise<RowProducts> {
    const graph = new Graph({ fusion: false });
    const rows = createVariable(graph, 'rows', [count, dimensions], 'f32');
    const given = graph.placeholder('given', [count, dimensions], 'f32');
    const centroids = graph.placeholder('centroids', [clusters, dimensions], 'f32');
    const cluster = graph.placeholder('cluster', [count], 'i32');
    const members = cast(
      equal(reshape(cluster, [1, count]), graph.constant([...Array(clusters).keys()], 'i32', [clusters, 1])),
      'f32',
    );
    const session = await Session.open(tf, graph, {
      set: {
        inputs: { given },
        outputs: { done: graph.after([assignVariable(rows, given)], () => graph.constant(1, 'i32')) },
      },
      products: {
        inputs: { centroids },
        outputs: { products: matmul(readVariable(rows), centroids, { transposeY: true }) },
      },
      sums: { inputs: { cluster }, outputs: { sums: matmul(members, readVariable(rows)) } },
    });
    return new RowProducts(session, count, dimensions, clusters);
  }

  /** Sets the rows [count * dimensions]; call it first. */
  set(rows: Float32Array): void {
    this.#session.run('set', { given: rows });
  }

  /** row . centroid for all pairs [count * clusters]. @param centroids [clusters * dimensions] */
  products(centroids: Float32Array): Float32Array {
    return this.#session.run('products', { centroids })['products'] as Float32Array;
  }

  /** Sum of the rows of each cluster [clusters * dimensions]. @param cluster i32 [count] */
  sums(cluster: Int32Array): Float32Array {
    return this.#session.run('sums', { cluster })['sums'] as Float32Array;
  }

  close(): void {
    this.#session.close();
  }
}
