import { fusedOne } from '../graph/fused.ts';
import { cast, multiply, scale } from '../graph/ops/elementwise.ts';
import { concat, reshape } from '../graph/ops/layout.ts';
import { matmul } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { updateScale, type AdapterMethod } from './method.ts';

/**
 * HydraLoRA (Tian et al. 2024): one A, several heads B_i, a dense softmax router per token on the module's undropped input:
 *
 *   y = W x + (alpha / r) sum_i g_i B_i A dropout(x),   g = softmax(R x)
 *
 * with A [r, dIn], B_i [dOut, r], R [heads, dIn]. The heads lie side by side in one
 * product: sum_i g_i B_i z = [B_1 ... B_h] [g_1 z; ...; g_h z].
 */
export const hydraLora: AdapterMethod = ({ config, x, base, parameter, dropout }) => {
  const { rank, heads } = config;
  const rows = x.shape[0]!;
  const down = matmul(dropout(x), parameter('hydralora_A.weight'), { transposeY: true });
  const logits = matmul(x, parameter('hydralora_router.weight'), { transposeY: true });
  const factor = updateScale(config);
  const gated = fusedOne(`hydralora_gate_${factor}`, [down, logits], ([z, l]) => {
    const wide = reshape(cast(z!, 'f32'), [rows, 1, rank]);
    const gates = reshape(softmax(l!), [rows, heads, 1]);
    return cast(reshape(scale(multiply(wide, gates), factor), [rows, heads * rank]), z!.dtype);
  });
  const up = concat(
    Array.from({ length: heads }, (_, i) => parameter(`hydralora_B.${i}.weight`)),
    1,
  );
  return [base, matmul(gated, up, { transposeY: true })];
};
