import { fused, fusedWithoutGradient } from '../graph/fused.ts';
import type { DType } from '../graph/dtype.ts';
import { gradients } from '../graph/gradients.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  cast,
  multiply,
  rsqrt,
  scalarLike,
  square,
  sumToShape,
} from '../graph/ops/elementwise.ts';
import { mean } from '../graph/ops/reduce.ts';

/** x / sqrt(mean(x^2) + epsilon) over the last axis, f32. */
export function rootMeanSquare(x: Tensor, epsilon: number): Tensor {
  const wide = cast(x, 'f32');
  const power = mean(square(wide), [wide.shape.length - 1], true);
  return multiply(wide, rsqrt(add(power, scalarLike(power, epsilon))));
}

/**
 * Adds up the residual stream and normalises it (RMSNorm, Zhang and Sennrich 2019), in one pass. The gradient is computed from the
 * sum, which the next block needs anyway: the addends need not be kept.
 *
 * @param terms addends of the residual stream [rows, hidden] (or broadcast to it)
 * @param gain [hidden]
 * @returns `sum`, the stream, and `normed` = sum / rms(sum) * gain, both in the compute type
 */
export function residualNorm(
  terms: readonly Tensor[],
  gain: Tensor,
  epsilon: number,
  dtype: DType,
): { sum: Tensor; normed: Tensor } {
  const norm = (total: Tensor, gains: Tensor) =>
    cast(multiply(rootMeanSquare(total, epsilon), cast(gains, 'f32')), dtype);
  if (terms.length === 1) {
    const [normed] = fused('norm', [terms[0]!, gain], ([x, g]) => [norm(x!, g!)]);
    return { sum: terms[0]!, normed: normed! };
  }
  const [total, normed] = fusedWithoutGradient(`residual_norm_${terms.length}`, [...terms, gain], (all) => {
    const sum = cast(addAll(all.slice(0, -1).map((term) => cast(term, 'f32'))), dtype);
    return [sum, norm(sum, all.at(-1)!)];
  });
  const [sum, result] = total!.graph.withGradient(
    [...terms, gain],
    [total!, normed!],
    ([dSum, dNormed], wanted) => {
      const arriving = [dSum, dNormed].filter((g) => g != null);
      const kind = `residual_norm_gradient_${dSum ? 'sum' : ''}${dNormed ? 'norm' : ''}_${wanted.at(-1)}`;
      const [dTotal, dGain] = fused(kind, [total!, gain, ...arriving], ([x, g, ...rest]) => {
        const parts: (Tensor | null)[] = dNormed
          ? gradients([norm(x!, g!)], [rest.at(-1)!], wanted.at(-1) ? [x!, g!] : [x!])
          : [];
        const through = [...(dSum ? [rest[0]!] : []), ...(parts[0] ? [parts[0]] : [])];
        const dx = cast(addAll(through.map((part) => cast(part, 'f32'))), dtype);
        return parts[1] ? [dx, parts[1]] : [dx];
      });
      return [
        ...terms.map((term, i) => (wanted[i] ? cast(sumToShape(dTotal!, term.shape), term.dtype) : null)),
        wanted.at(-1) ? (dGain ?? null) : null,
      ];
    },
  );
  return { sum: sum!, normed: result! };
}
