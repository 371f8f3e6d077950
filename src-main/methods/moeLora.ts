import type { AdapterConfig } from '../contract/training.ts';
import {
  divisors,
  each,
  impossible,
  kaimingMatrix,
  nearestMultiples,
  plainMethod,
  trainedProducts,
  updateScale,
  zeroMatrix,
  type AdapterCall,
  type AdapterMethod,
} from './method.ts';
import type { MethodOps } from './ops.ts';

/** Size of a task's embedding in Liu et al.'s gate. */
const taskEmbedding = 64;

/**
 * MoELoRA: E independent LoRA experts, weighted by a dense softmax gate.
 *
 *   y = W x + c sum_i g_i B_i A_i dropout(x),   c = alpha / r (rsLoRA: alpha / sqrt(r))
 *
 * Two forms go by this name:
 *
 * - Token gate (default), as the ID-LoRA paper counts it (Tables 6 and 7): experts of rank r each; g = softmax(R x) for
 *   every
 *   token, R [E, dIn] in each module. Trained in each module: E r (dIn + dOut) + E dIn.
 * - Task gate, Liu et al. 2023 ("When MOE Meets LLMs"), section 3.4, as their code computes it: r is the total, experts
 *   have rank r / E;
 *   g = softmax(G e_t) with e_t [64] the embedding of the row's task t, 0..tasks, and G [E, 64], both shared by all
 * modules. Trained in
 *   each module: r (dIn + dOut); once: 64 (tasks + 1 + E).
 *
 * Extra products for each token, E r' = r or E r numbers wide in the middle: E r' (dIn + dOut), and the token gate's E
 * dIn; backward twice as many. The task gate takes a row of the table of all tasks' logits, (tasks + 1) E a token and
 * as many backward, and makes that table in every pass, 64 (tasks + 1) E. The update sum_i g_i B_i A_i has rank E r' at
 * most, and over all tokens reads and writes as many directions.
 *
 * With rank r' an expert has A_i [r', dIn], kaiming-uniform (task gate: normal, deviation 0.01), and B_i [dOut, r'],
 * zero. R and G start kaiming-uniform, the embedding normal, as torch.nn.Embedding.
 */
export const moeLora: AdapterMethod = {
  ...plainMethod,
  peftType: 'MOELORA',
  fileKeys: { num_experts: 'experts', gate: 'gate', num_tasks: 'tasks' },
  readsTasks: ({ gate }) => gate === 'task',
  parameters({ dIn, dOut }, { rank, experts, gate }) {
    const byTask = gate === 'task';
    const own = expertRank({ rank, experts, gate });
    return [
      ...each(experts, (i) => {
        const a = kaimingMatrix(`moelora_A.${i}.weight`, [own, dIn]);
        return byTask ? { ...a, initial: { kind: 'normal' as const, deviation: 0.01 } } : a;
      }),
      ...each(experts, (i) => zeroMatrix(`moelora_B.${i}.weight`, [dOut, own])),
      ...(byTask ? [] : [kaimingMatrix('moelora_router.weight', [experts, dIn])]),
    ];
  },
  sharedParameters: ({ experts, gate, tasks }) =>
    gate !== 'task'
      ? []
      : [
          {
            suffix: 'moelora_task_embedding.weight',
            shape: [tasks + 1, taskEmbedding],
            dtype: 'f32',
            trainable: true,
            initial: { kind: 'normal', deviation: 1 },
          },
          kaimingMatrix('moelora_gate.weight', [experts, taskEmbedding]),
        ],
  rankStep: ({ experts, gate }) => (gate === 'task' ? experts : 1),
  largestRank: (shape, { experts, gate }) => {
    const most = plainMethod.largestRank(shape);
    return gate === 'task' ? Math.floor(most / experts) * experts : most;
  },
  check({ module, rankPath }, { rank, experts, gate, tasks }) {
    if (gate !== 'task' && tasks !== 1)
      throw impossible(
        `${tasks} tasks mean nothing to a gate that sees single tokens.`,
        'Choose the task gate (gate task), or leave the number of tasks at 1.',
        ['adapter', 'tasks'],
      );
    if (gate === 'task' && rank % experts !== 0)
      throw impossible(
        `The task gate divides the rank among ${experts} experts, but rank ${rank} is no multiple of ${experts} (${module}).`,
        `Choose rank ${nearestMultiples(rank, experts)}, or a number of experts that divides ${rank} (${divisors(rank).join(', ')}).`,
        rankPath,
      );
  },
  extraProducts({ dIn, dOut }, { rank, experts, gate, tasks }) {
    const wide = experts * expertRank({ rank, experts, gate }) * (dIn + dOut);
    if (gate !== 'task') return trainedProducts(wide + experts * dIn);
    const chosen = (tasks + 1) * experts;
    const table = taskEmbedding * chosen;
    return {
      inference: { perToken: wide + chosen, perPass: table },
      training: { perToken: 3 * wide + 2 * chosen, perPass: 3 * table },
    };
  },
  rankBound({ dIn, dOut }, { rank, experts, gate }) {
    const wide = experts * expertRank({ rank, experts, gate });
    return { token: Math.min(wide, dIn, dOut), reads: Math.min(wide, dIn), writes: Math.min(wide, dOut) };
  },
  forward(ops, call) {
    const { concat, fused, linear, multiply, reshape, scale, softmax, toF32, toTypeOf } = ops;
    const { config, rows, x, base, parameter, dropout } = call;
    const { experts } = config;
    const own = expertRank(config);
    const all = (part: 'A' | 'B') => each(experts, (i) => parameter(`moelora_${part}.${i}.weight`));
    const down = linear(dropout(x), concat(all('A'), 0));
    const logits = gateLogits(ops, call);
    const factor = updateScale(config);
    const gated = fused(`moelora_gate_${factor}`, [down, logits], ([z, l]) => {
      const wide = reshape(toF32(z), [rows, experts, own]);
      const gates = reshape(softmax(l), [rows, experts, 1]);
      return toTypeOf(z, reshape(scale(multiply(wide, gates), factor), [rows, experts * own]));
    });
    return [base, linear(gated, concat(all('B'), 1))];
  },
  routing: {
    experts: ({ experts }) => experts,
    weights: (ops, call) => ops.softmax(gateLogits(ops, call)),
    compared: ({ experts }, read) => each(experts, (i) => read(`moelora_B.${i}.weight`).floats()),
    // [c g_1 B_1 ... c g_E B_E] [A_1; ...; A_E].
    asLora(adapter, read, weights) {
      const [own, scale] = [expertRank(adapter), updateScale(adapter)];
      const rank = own * adapter.experts;
      const downs = each(adapter.experts, (i) => read(`moelora_A.${i}.weight`).floats());
      const dIn = downs[0]!.length / own;
      const down = new Float32Array(rank * dIn);
      downs.forEach((part, i) => down.set(part, i * own * dIn));
      const ups = each(adapter.experts, (i) => read(`moelora_B.${i}.weight`).floats());
      const dOut = ups[0]!.length / own;
      const up = new Float32Array(dOut * rank);
      for (let row = 0; row < dOut; row++)
        ups.forEach((part, i) => {
          for (let k = 0; k < own; k++)
            up[row * rank + i * own + k] = scale * weights[i]! * part[row * own + k]!;
        });
      return { down, up, rank };
    },
  },
};

/** Rank of one expert. */
function expertRank({ rank, experts, gate }: Pick<AdapterConfig, 'rank' | 'experts' | 'gate'>): number {
  return gate === 'task' ? rank / experts : rank;
}

/** What the gate is a softmax of, [rows, E]. */
function gateLogits<T>(ops: MethodOps<T>, call: AdapterCall<T>): T {
  const { config, x, parameter } = call;
  return config.gate === 'task' ? taskLogits(ops, call) : ops.linear(x, parameter('moelora_router.weight'));
}

/** G e_t [rows, E]: the logits of every task, of which each row takes its own. */
function taskLogits<T>({ linear, matmul }: MethodOps<T>, { taskSelection, parameter }: AdapterCall<T>): T {
  const embedding = parameter('moelora_task_embedding.weight');
  const byTask = linear(embedding, parameter('moelora_gate.weight'));
  return matmul(taskSelection!, byTask);
}
