import { fusedOne } from '../graph/fused.ts';
import { cast, multiply, scale } from '../graph/ops/elementwise.ts';
import { concat, reshape } from '../graph/ops/layout.ts';
import { matmul } from '../graph/ops/linear.ts';
import { softmax } from '../graph/ops/neural.ts';
import { updateScale, type AdapterCall, type AdapterMethod } from './method.ts';

/**
 * MoELoRA: E independent LoRA experts, weighted by a dense softmax gate.
 *
 *   y = W x + c sum_i g_i B_i A_i dropout(x)
 *
 * Two forms go by this name:
 *
 * - Token gate (default), as the ID-LoRA paper counts it (Tables 6 and 7): experts of rank r each, A_i [r, dIn], B_i [dOut, r];
 *   g = softmax(R x) for every token, R [E, dIn]; c = alpha / r.
 * - Task gate, Liu et al. 2023 ("When MOE Meets LLMs"), section 3.4, as their code computes it: r is the total, experts have rank r / E;
 *   g = softmax(G e_t) with e_t [64] the embedding of the row's task t and G [E, 64], both shared by all modules; c = alpha / r.
 *
 * With rsLoRA c = alpha / sqrt(r).
 */
export const moeLora: AdapterMethod = (call) => {
  const { config, x, base, parameter, dropout } = call;
  const { experts, rank } = config;
  const own = config.gate === 'task' ? rank / experts : rank;
  const rows = x.shape[0]!;
  const all = (part: 'A' | 'B', axis: number) =>
    concat(
      Array.from({ length: experts }, (_, i) => parameter(`moelora_${part}.${i}.weight`)),
      axis,
    );
  const down = matmul(dropout(x), all('A', 0), { transposeY: true });
  const logits = config.gate === 'task' ? taskLogits(call) : tokenLogits(call);
  const factor = updateScale(config);
  const gated = fusedOne(`moelora_gate_${factor}`, [down, logits], ([z, l]) => {
    const wide = reshape(cast(z!, 'f32'), [rows, experts, own]);
    const gates = reshape(softmax(l!), [rows, experts, 1]);
    return cast(reshape(scale(multiply(wide, gates), factor), [rows, experts * own]), z!.dtype);
  });
  return [base, matmul(gated, all('B', 1), { transposeY: true })];
};

/** R x [rows, E] */
function tokenLogits({ x, parameter }: AdapterCall) {
  return matmul(x, parameter('moelora_router.weight'), { transposeY: true });
}

/** G e_t [rows, E]: the logits of every task, of which each row takes its own. */
function taskLogits({ taskSelection, parameter }: AdapterCall) {
  const embedding = parameter('moelora_task_embedding.weight');
  const byTask = matmul(embedding, parameter('moelora_gate.weight'), { transposeY: true });
  return matmul(taskSelection!, byTask);
}
