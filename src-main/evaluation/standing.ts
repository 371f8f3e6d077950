import type { Evaluation, Project } from '../contract/entities.ts';

/** Runs with their trainable parameters; null where they are not counted yet. */
type TrainableOf = (runId: string) => number | null;

/**
 * The evaluations that answer a project's question so far: of those on the same items with the same prompts the group
 * that was added to last, of each subject the newest, within the project's limits, best first. With equal scores the
 * one with fewer parameters leads. The base model stands in it for comparison, whatever the limit.
 * @returns empty where nothing that fits the question was scored
 */
export function standing(
  evaluations: readonly Evaluation[],
  goal: Pick<Project, 'benchmark' | 'maxTrainable'>,
  trainableOf: TrainableOf,
): Evaluation[] {
  const newestFirst = [...evaluations].sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  const groups = new Map<string, Evaluation[]>();
  for (const evaluation of newestFirst) {
    if (goal.benchmark !== null && evaluation.benchmark !== goal.benchmark) continue;
    if (!isWithin(evaluation, goal.maxTrainable, trainableOf)) continue;
    const key = sameItems(evaluation);
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    const isNew = !group.some(
      ({ runId, subject }) => runId === evaluation.runId && subject === evaluation.subject,
    );
    if (isNew) group.push(evaluation);
  }
  const adapters = (group: readonly Evaluation[]) => group.filter(({ runId }) => runId !== null).length;
  const candidates = [...groups.values()];
  const chosen =
    candidates.find((group) => adapters(group) > 1) ??
    candidates.find((group) => adapters(group) > 0 && group.length > 1) ??
    candidates.find((group) => adapters(group) > 0);
  return [...(chosen ?? [])].sort((a, b) => betterFirst(a, b) || size(a, trainableOf) - size(b, trainableOf));
}

/** Evaluations of one group were made on the same items with the same prompts. */
export function sameItems(evaluation: Evaluation): string {
  const { benchmark, version, modelId, dataHash, shots, n } = evaluation;
  return JSON.stringify([benchmark, version, modelId, dataHash, shots, n]);
}

function isWithin(evaluation: Evaluation, limit: number | null, trainableOf: TrainableOf): boolean {
  if (limit === null || evaluation.runId === null) return true;
  const trainable = trainableOf(evaluation.runId);
  return trainable !== null && trainable <= limit;
}

function betterFirst(a: Evaluation, b: Evaluation): number {
  return a.metric === 'accuracy' ? b.score - a.score : a.score - b.score;
}

function size(evaluation: Evaluation, trainableOf: TrainableOf): number {
  return evaluation.runId === null ? 0 : (trainableOf(evaluation.runId) ?? Infinity);
}
