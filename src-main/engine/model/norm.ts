import type { DecoderConfig } from '../../formats/families/decoderConfig.ts';
import { addendSums, fused, fusedOne, fusedWithoutGradient } from '../graph/fused.ts';
import type { DType } from '../graph/dtype.ts';
import { gradients } from '../graph/gradients.ts';
import type { Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  cast,
  multiply,
  rsqrt,
  scale,
  scalarLike,
  square,
  sumToShape,
} from '../graph/ops/elementwise.ts';
import { mean } from '../graph/ops/neural.ts';

/** What a model's norms and residual stream have in common. */
export type NormConfig = Pick<DecoderConfig, 'rmsEpsilon' | 'normGainOffset' | 'residualScale'>;

/** Numbers that compiled functions take from around them belong in their names. */
export function normKind({ rmsEpsilon, normGainOffset, residualScale }: NormConfig): string {
  return `norm_${rmsEpsilon}_${normGainOffset}_${residualScale}`;
}

/**
 * RMSNorm over the last axis (Zhang and Sennrich 2019): x / sqrt(mean(x^2) + epsilon) * (gain + offset).
 * @param gain [the last axis of x]
 * @returns f32
 */
export function rmsNorm(x: Tensor, gain: Tensor, config: NormConfig): Tensor {
  const wide = cast(x, 'f32');
  const power = mean(square(wide), [wide.shape.length - 1], true);
  const unit = multiply(wide, rsqrt(add(power, scalarLike(power, config.rmsEpsilon))));
  const wideGain = cast(gain, 'f32');
  const { normGainOffset } = config;
  return multiply(unit, normGainOffset ? add(wideGain, scalarLike(wideGain, normGainOffset)) : wideGain);
}

/** stream + residualScale * sum of the branch's addends, in f32 until it is rounded. */
function streamSum([stream, ...branch]: readonly Tensor[], config: NormConfig, dtype: DType): Tensor {
  const wide = cast(stream!, 'f32');
  const addends = branch.map((term) => cast(term, 'f32'));
  const { residualScale } = config;
  // Without a scale the terms are added one after the other to what is read first.
  const total =
    residualScale === 1 || branch.length === 0
      ? addAll([wide, ...addends])
      : add(wide, scale(addAll(addends), residualScale));
  return cast(total, dtype);
}

/**
 * Adds a branch's output to the residual stream and normalizes the sum, in one pass. The gradient is computed from the
 * sum, which the next block needs anyway: the addends need not be kept, nor what is normalized.
 *
 * @param terms the stream [rows, hidden], then the addends of the branch (or broadcast to it)
 * @param gain [hidden]; null: the sum goes on as it is
 * @returns `sum`, the stream, and `normed`, what the next branch sees, both in the compute type
 */
export function residualNorm(
  terms: readonly Tensor[],
  gain: Tensor | null,
  config: NormConfig,
  dtype: DType,
): { sum: Tensor; normed: Tensor } {
  if (!gain) {
    const sum =
      terms.length === 1
        ? terms[0]!
        : fusedOne(`residual_${terms.length}_${config.residualScale}`, terms, (all) =>
            streamSum(all, config, dtype),
          );
    return { sum, normed: sum };
  }
  const norm = (total: Tensor, gains: Tensor) => cast(rmsNorm(total, gains, config), dtype);
  if (terms.length === 1) {
    const [normed] = fused(normKind(config), [terms[0]!, gain], ([x, g]) => [norm(x!, g!)]);
    return { sum: terms[0]!, normed: normed! };
  }
  const [total, normed] = fusedWithoutGradient(
    `residual_${terms.length}_${normKind(config)}`,
    [...terms, gain],
    (all) => {
      const sum = streamSum(all.slice(0, -1), config, dtype);
      return [sum, norm(sum, all.at(-1)!)];
    },
  );
  const [sum, result] = total!.graph.withGradientOfAddends(
    [...terms, gain],
    [total!, normed!],
    ([toSum = [], toNormed = []], wanted, [, isRead]) => {
      const scaled = config.residualScale !== 1;
      const given = `${toSum.length}_${toNormed.length}_${wanted.at(-1)}${isRead ? '_again' : ''}`;
      const kind = `residual_gradient_${given}_${normKind(config)}`;
      const results = fused(kind, [total!, gain, ...toSum, ...toNormed], ([x, g, ...rest]) => {
        const [, dNormed] = addendSums([toSum, toNormed], rest);
        const again = norm(x!, g!);
        const parts: (Tensor | null)[] = dNormed
          ? gradients([again], [dNormed], wanted.at(-1) ? [x!, g!] : [x!])
          : [];
        const through = [...rest.slice(0, toSum.length), ...(parts[0] ? [parts[0]] : [])];
        const dx = addAll(through.map((part) => cast(part, 'f32')));
        return [
          cast(dx, dtype),
          ...(parts[1] ? [parts[1]] : []),
          ...(isRead ? [again] : []),
          ...(scaled ? [cast(scale(dx, config.residualScale), dtype)] : []),
        ];
      });
      const again = isRead ? results[wanted.at(-1) && toNormed.length > 0 ? 2 : 1]! : null;
      const [dStream, dBranch] = [results[0]!, scaled ? results.at(-1)! : results[0]!];
      const found = [
        ...terms.map((term, i) =>
          wanted[i] ? cast(sumToShape(i === 0 ? dStream : dBranch, term.shape), term.dtype) : null,
        ),
        wanted.at(-1) && toNormed.length > 0 ? results[1]! : null,
      ];
      return { gradients: found, again: [null, again] };
    },
  );
  return { sum: sum!, normed: result! };
}

/** RMSNorm of a branch's output before it joins the stream (Gemma 2 and 3, OLMo 2 and 3, EXAONE 4). */
export function branchNorm(terms: readonly Tensor[], gain: Tensor, config: NormConfig, dtype: DType): Tensor {
  return fusedOne(`branch_${terms.length}_${normKind(config)}`, [...terms, gain], (all) => {
    const total = cast(addAll(all.slice(0, -1).map((term) => cast(term, 'f32'))), dtype);
    return cast(rmsNorm(total, all.at(-1)!, config), dtype);
  });
}
