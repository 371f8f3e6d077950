import type { Curves, EvalMetric, StepMetric } from '../../src-main/contract/entities.ts';

export const noCurves: Curves = { steps: [], evals: [] };

/**
 * Adds a batch of steps. What lies at or after the batch's first step is replaced: a resumed run goes back to its checkpoint, and a
 * repeated batch must not double its points.
 */
export function withSteps(curves: Curves, batch: readonly StepMetric[]): Curves {
  const first = batch[0]?.step;
  if (first === undefined) return curves;
  return {
    steps: [...before(curves.steps, first), ...batch],
    evals: before(curves.evals, first),
  };
}

/** Adds one evaluation, in place of those at or after its step. */
export function withEval(curves: Curves, metric: EvalMetric): Curves {
  return { steps: curves.steps, evals: [...before(curves.evals, metric.step), metric] };
}

/** Entries are in order of their step, and nearly always all of them come before: look from the end. */
function before<T extends { step: number }>(entries: readonly T[], step: number): T[] {
  let end = entries.length;
  while (end > 0 && entries[end - 1]!.step >= step) end--;
  return entries.slice(0, end);
}
