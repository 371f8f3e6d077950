import type { Random } from '../../../statistics/random.ts';
import { Graph, typeAttribute } from '../../graph/graph.ts';
import { divide, sqrt, square } from '../../graph/ops/elementwise.ts';
import { gather, transpose } from '../../graph/ops/layout.ts';
import { matmul } from '../../graph/ops/linear.ts';
import { sum } from '../../graph/ops/reduce.ts';
import { openSession, type Tensorflow } from '../../graph/session.ts';

/*
 * What can stand in the place of the rows of W that ID-LoRA freezes, to see what the choice of rows is worth: as many
 * vectors of dIn numbers, which on average are as long as a row of W, so that one learning rate serves all.
 */

/** W [dOut, dIn] in f32, row by row. */
export interface BaseWeight {
  rows: Float32Array;
  dOut: number;
  dIn: number;
}

/** Root of the mean square of all numbers. */
function typicalNumber({ rows }: BaseWeight): number {
  let squares = 0;
  for (let i = 0; i < rows.length; i++) squares += rows[i]! * rows[i]!;
  return Math.sqrt(squares / rows.length);
}

/** Numbers drawn from a normal distribution as wide as that of W. @returns [count, dIn] */
export function gaussianBases(weight: BaseWeight, count: number, random: Random): Float32Array {
  const deviation = typicalNumber(weight);
  return Float32Array.from({ length: count * weight.dIn }, () => random.normal() * deviation);
}

/**
 * The right singular vectors of W with the greatest singular values, dealt in turn to the clusters, so that each has
 * its share of the great ones; all of one length. By the eigenvectors of W^T W, or of W W^T where that is smaller.
 * @param asked.count of vectors, no more than W has rows or columns
 * @returns [count, dIn], cluster by cluster
 */
export async function singularBases(
  tf: Tensorflow,
  weight: BaseWeight,
  { clusters, count }: { clusters: number; count: number },
): Promise<Float32Array> {
  const { dOut, dIn, rows } = weight;
  const graph = new Graph({ fusion: false });
  const given = graph.placeholder('rows', [dOut, dIn], 'f32');
  const isTall = dOut >= dIn;
  const size = isTall ? dIn : dOut;
  const gram = isTall
    ? matmul(given, given, { transposeX: true })
    : matmul(given, given, { transposeY: true });
  const [, vectors] = graph.addOperation({
    op: 'SelfAdjointEigV2',
    inputs: [gram],
    attributes: { ...typeAttribute('f32'), compute_v: { kind: 'bool', value: true } },
    outputs: [
      { shape: [size], dtype: 'f32' },
      { shape: [size, size], dtype: 'f32' },
    ],
  });
  // Eigenvalues rise: the greatest stands last.
  const each = count / clusters;
  const order = Array.from(
    { length: count },
    (_, i) => size - 1 - ((i % each) * clusters + Math.floor(i / each)),
  );
  const chosen = gather(transpose(vectors!, [1, 0]), graph.constant(order, 'i32'), 0);
  // u^T W is v times its singular value, which is taken out again.
  const right = isTall ? chosen : matmul(chosen, given);
  const bases = divide(right, sqrt(sum(square(right), [1], true)));
  const session = await openSession(tf, graph, { find: { inputs: { rows: given }, outputs: { bases } } });
  try {
    const found = session.run('find', { rows }).bases as Float32Array;
    const length = typicalNumber(weight) * Math.sqrt(dIn);
    return found.map((value) => value * length);
  } finally {
    session.close();
  }
}
