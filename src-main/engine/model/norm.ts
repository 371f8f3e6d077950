import { fused } from '../graph/fused.ts';
import type { DType } from '../graph/dtype.ts';
import type { Tensor } from '../graph/graph.ts';
import { add, addAll, cast, multiply, rsqrt, scalarLike, square } from '../graph/ops/elementwise.ts';
import { mean } from '../graph/ops/reduce.ts';

/** x / sqrt(mean(x^2) + epsilon) over the last axis, f32. */
export function rootMeanSquare(x: Tensor, epsilon: number): Tensor {
  const wide = cast(x, 'f32');
  const power = mean(square(wide), [wide.shape.length - 1], true);
  return multiply(wide, rsqrt(add(power, scalarLike(power, epsilon))));
}

/**
 * Adds up the residual stream and normalises it (RMSNorm, Zhang and Sennrich 2019), in one pass.
 * @param terms addends of the residual stream [rows, hidden]
 * @param gain [hidden]
 * @returns `sum`, the stream, and `normed` = sum / rms(sum) * gain, both in the compute type
 */
export function residualNorm(
  terms: readonly Tensor[],
  gain: Tensor,
  epsilon: number,
  dtype: DType,
): { sum: Tensor; normed: Tensor } {
  const single = terms.length === 1;
  const results = fused(`residual_norm_${terms.length}`, [...terms, gain], (all) => {
    const total = cast(addAll(all.slice(0, -1).map((term) => cast(term, 'f32'))), dtype);
    const normed = multiply(rootMeanSquare(total, epsilon), cast(all.at(-1)!, 'f32'));
    return single ? [cast(normed, dtype)] : [cast(normed, dtype), total];
  });
  return { normed: results[0]!, sum: single ? terms[0]! : results[1]! };
}
