import type { Project } from '../contract/entities.ts';
import type { Evaluation } from '../contract/results.ts';

/** Runs with their trainable parameters; null where they are not counted yet. */
type TrainableOf = (runId: string) => number | null;

/**
 * The groups of evaluations that can answer a project's question: each on the same items with the same prompts, of each
 * subject the newest, within the project's limits, best first. With equal scores the one with fewer parameters comes
 * first. The base model stands in them for comparison, whatever the limit.
 * @returns only groups with an adapter: first those in which adapters meet, then those with the base model, then the
 * others; of each kind the one that was added to last comes first
 */
export function standings(
  evaluations: readonly Evaluation[],
  goal: Pick<Project, 'benchmark' | 'maxTrainable'>,
  trainableOf: TrainableOf,
): Evaluation[][] {
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
  return [...groups.values()]
    .filter((group) => meeting(group) > 0)
    .sort((a, b) => meeting(b) - meeting(a))
    .map((group) => group.sort((a, b) => betterFirst(a, b) || size(a, trainableOf) - size(b, trainableOf)));
}

/** 3: adapters meet; 2: one meets the base model; 1: one adapter alone; 0: no adapter. */
export function meeting(group: readonly Evaluation[]): number {
  const adapters = group.filter(({ runId }) => runId !== null).length;
  return adapters > 1 ? 3 : adapters === 0 ? 0 : group.length > 1 ? 2 : 1;
}

/** Evaluations of one group were made on the same items with the same prompts. */
export function sameItems(evaluation: Evaluation): string {
  const { benchmark, version, modelId, base, dataHash, shots, n } = evaluation;
  // What the model was tells, not which entry of the library it has.
  return JSON.stringify([benchmark, version, base ?? modelId, dataHash, shots, n]);
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
