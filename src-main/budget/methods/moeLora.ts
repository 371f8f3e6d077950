import {
  divisors,
  each,
  impossible,
  kaimingMatrix,
  nearestMultiples,
  plainMethod,
  zeroMatrix,
  type MethodDeclaration,
} from './method.ts';

/** Size of a task's embedding in Liu et al.'s gate. */
const taskEmbedding = 64;

/**
 * MoELoRA. Token gate: experts A_i [r, dIn], B_i [dOut, r] and a router R [experts, dIn] in each module.
 * Task gate: the rank is the total, experts have r / experts each; the embedding of tasks 0..tasks [tasks + 1, 64] (normal, as
 * torch.nn.Embedding) and the gate [experts, 64] are shared by all modules; A_i starts normal with deviation 0.01.
 */
export const moeLora: MethodDeclaration = {
  ...plainMethod,
  peftType: 'MOELORA',
  fileKeys: { num_experts: 'experts', gate: 'gate', num_tasks: 'tasks' },
  readsTasks: ({ gate }) => gate === 'task',
  parameters({ dIn, dOut }, { rank, experts, gate }) {
    const byTask = gate === 'task';
    const own = byTask ? rank / experts : rank;
    return [
      ...each(experts, (i) => {
        const a = kaimingMatrix(`moelora_A.${i}.weight`, [own, dIn]);
        return byTask ? { ...a, initial: { kind: 'normal' as const, deviation: 0.01 } } : a;
      }),
      ...each(experts, (i) => zeroMatrix(`moelora_B.${i}.weight`, [dOut, own])),
      ...(byTask ? [] : [kaimingMatrix('moelora_router.weight', [experts, dIn])]),
    ];
  },
  sharedParameters: ({ experts, gate, tasks = 1 }) =>
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
  check({ module }, { rank, experts, gate, tasks = 1 }) {
    if (gate !== 'task' && tasks !== 1)
      throw impossible(
        `${tasks} tasks mean nothing to a gate that sees single tokens.`,
        'Choose the task gate (gate task), or leave the number of tasks at 1.',
      );
    if (gate === 'task' && rank % experts !== 0)
      throw impossible(
        `The task gate divides the rank among ${experts} experts, but rank ${rank} is no multiple of ${experts} (${module}).`,
        `Choose rank ${nearestMultiples(rank, experts)}, or a number of experts that divides ${rank} (${divisors(rank).join(', ')}).`,
      );
  },
};
