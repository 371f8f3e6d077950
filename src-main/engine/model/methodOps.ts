import type { MethodOps } from '../../methods/ops.ts';
import { fusedOne } from '../graph/fused.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  cast,
  divide,
  multiply,
  scalarLike,
  scale,
  sqrt,
  square,
  stopGradient,
  subtract,
} from '../graph/ops/elementwise.ts';
import { concat, gather, reshape } from '../graph/ops/layout.ts';
import { matmul, matmulLater } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { sum } from '../graph/ops/reduce.ts';

/** The operations of the graph, as methods name them. */
export const methodOps: MethodOps<Tensor> = {
  matmul: (x, y) => matmul(x, y),
  linear: (x, weight) => matmul(x, weight, { transposeY: true }),
  add,
  addAll,
  subtract,
  multiply,
  divide,
  square,
  sqrt,
  scale,
  scalarLike,
  softmax,
  sum: (x, axes) => sum(x, axes),
  toF32: (x) => cast(x, 'f32'),
  toTypeOf: (like, x) => cast(x, like.dtype),
  reshape,
  concat,
  gather,
  // As many tensors come in as went in.
  fused: <const I extends readonly Tensor[]>(
    kind: string,
    inputs: I,
    body: (inputs: { readonly [K in keyof I]: Tensor }) => Tensor,
  ) => fusedOne(kind, inputs, (all) => body(all as { readonly [K in keyof I]: Tensor })),
  stopGradient,
  withProductGradient: (to, value, gradient) =>
    to.graph.withGradient([to], [value], ([upstream]) => {
      const { x, y } = gradient(upstream!);
      return [matmulLater(x, y)];
    })[0]!,
};
