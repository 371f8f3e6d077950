import { fusedOne } from '../graph/fused.ts';
import { cast, multiply, scale } from '../graph/ops/elementwise.ts';
import { concat, reshape } from '../graph/ops/layout.ts';
import { matmul } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { updateScale, type AdapterMethod } from './method.ts';

/**
 * MoELoRA as the ID-LoRA paper counts it (Tables 6 and 7): independent LoRA experts of rank r each and a dense softmax router per
 * token on the module's input:
 *
 *   y = W x + (alpha / r) sum_i g_i B_i A_i dropout(x),   g = softmax(R x)
 *
 * with A_i [r, dIn], B_i [dOut, r], R [experts, dIn]. (Liu et al.'s own MOELoRA differs: r is the total over experts and the
 * gate sees the task, not the token.)
 */
export const moeLora: AdapterMethod = ({ config, x, base, parameter, dropout }) => {
  const { rank, experts } = config;
  const rows = x.shape[0]!;
  const all = (part: 'A' | 'B', axis: number) =>
    concat(
      Array.from({ length: experts }, (_, i) => parameter(`moelora_${part}.${i}.weight`)),
      axis,
    );
  const down = matmul(dropout(x), all('A', 0), { transposeY: true });
  const logits = matmul(x, parameter('moelora_router.weight'), { transposeY: true });
  const factor = updateScale(config);
  const gated = fusedOne(`moelora_gate_${factor}`, [down, logits], ([z, l]) => {
    const wide = reshape(cast(z!, 'f32'), [rows, experts, rank]);
    const gates = reshape(softmax(l!), [rows, experts, 1]);
    return cast(reshape(scale(multiply(wide, gates), factor), [rows, experts * rank]), z!.dtype);
  });
  return [base, matmul(gated, all('B', 1), { transposeY: true })];
};
