import type { Tensor } from '../graph/graph.ts';
import { add, addMany, divide, minimum, scalarLike, scale, sqrt } from '../graph/ops/elementwise.ts';
import { halfSquareSum } from '../graph/ops/reduce.ts';

/**
 * L2 norm over all gradients, f32 scalar. Infinite or NaN where any of them is, or where the sum of squares overflows.
 */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  return sqrt(scale(addMany(gradients.map(halfSquareSum)), 2));
}

/** Factor of torch's clip_grad_norm_: min(1, clipNorm / (norm + 1e-6)). */
export function clipFactor(norm: Tensor, clipNorm: number): Tensor {
  const limit = scalarLike(norm, clipNorm);
  return minimum(divide(limit, add(norm, scalarLike(norm, 1e-6))), scalarLike(norm, 1));
}
