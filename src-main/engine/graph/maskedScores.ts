import { fusedOne } from './fused.ts';
import type { Graph, Shape, Tensor } from './graph.ts';
import {
  cast,
  less,
  lessEqual,
  logicalAnd,
  scale,
  scalarLike,
  select,
  softcapped,
  subtract,
} from './ops/elementwise.ts';
import { reshape } from './ops/layout.ts';
import { batchMatmul } from './ops/linear.ts';
import { softmax } from './ops/neural.ts';

/** How queries and keys become weights: softmax(scores) over the keys that a query sees. */
export interface Scoring {
  /** Scores are q k^T times this. */
  scale: number;
  /** Scores s become cap * tanh(s / cap); null: they stay. */
  softcap: number | null;
  /** Each query sees only the last `window` positions, its own included; null: all before it. */
  window: number | null;
}

/** Stands where a score must not be seen. Finite, so that a row that sees nothing stays finite. */
const hidden = -1e30;

/** q k^T, and the factor that it still needs: soft-capped scores have had it. */
export function scoresOf(query: Tensor, key: Tensor, scoring: Scoring): { scores: Tensor; factor: number } {
  const product = batchMatmul(query, key, { transposeY: true });
  const { softcap } = scoring;
  if (softcap === null) return { scores: product, factor: scoring.scale };
  const scores = fusedOne(`capped_scores_${scoring.scale}_${softcap}`, [product], ([raw]) =>
    cast(softcapped(scale(cast(raw!, 'f32'), scoring.scale), softcap), raw!.dtype),
  );
  return { scores, factor: 1 };
}

/**
 * softmax(factor * scores) over the keys that are visible, 0 for the others; in f32, rounded to the type of the scores.
 * @param visible bool, broadcast to `shape`
 * @param shape of the scores with their axes apart, keys last
 * @returns the shape of `scores`
 */
export function visibleSoftmax(scores: Tensor, factor: number, visible: Tensor, shape: Shape): Tensor {
  const p = softmax(visibleScores(scores, factor, visible, shape));
  return cast(reshape(p, scores.shape), scores.dtype);
}

/** factor * scores in f32 and the given shape, those of hidden keys so low that softmax makes them 0. */
export function visibleScores(scores: Tensor, factor: number, visible: Tensor, shape: Shape): Tensor {
  const wide = reshape(scale(cast(scores, 'f32'), factor), shape);
  return select(visible, wide, scalarLike(wide, hidden));
}

/** Key j is visible from query i where j <= i and, with a window w, i - j < w. */
export function visibleKeys(queries: Tensor, keys: Tensor, window: number | null): Tensor {
  const causal = lessEqual(keys, queries);
  if (window === null) return causal;
  const distance = subtract(queries, keys);
  return logicalAnd(causal, less(distance, scalarLike(distance, window)));
}

/** begin, begin + 1, ... as f32 (integer arithmetic would run on the host when there is a GPU). */
export function positionRange(graph: Graph, begin: number, count: number, shape: Shape): Tensor {
  return graph.constant(
    Float32Array.from({ length: count }, (_, i) => begin + i),
    'f32',
    shape,
  );
}
