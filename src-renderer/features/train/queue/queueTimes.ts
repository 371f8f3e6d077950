import type { Dataset, Run } from '../../../../src-main/contract/entities.ts';

/** What decides how long a step takes, beside the machine. */
function kind(run: Run): string {
  const { adapter, batch, accumulate, context, precision, packing, gradientCheckpointing } = run.config;
  const { method, rank, targets, layers } = adapter;
  return JSON.stringify([
    run.modelId,
    [method, rank, targets, layers],
    [batch, accumulate, context, precision, packing, gradientCheckpointing],
  ]);
}

/** Optimizer steps that a run will have done at its end; null where that is only known once its rows are packed. */
export function plannedSteps(run: Run, dataset: Dataset | undefined): number | null {
  const { maxSteps, epochs, packing, batch, accumulate, heldOutFraction } = run.config;
  if (maxSteps !== null) return maxSteps;
  if (run.totalSteps !== null) return run.totalSteps;
  if (packing || !dataset) return null;
  const rows = dataset.rows - Math.round(dataset.rows * heldOutFraction);
  return Math.ceil((epochs * rows) / (batch * accumulate));
}

/**
 * About how long the run will take from where it is, by the pace of the latest run of the same model, method and shape
 * that was done without a break; null where there was none.
 */
export function estimatedMs(run: Run, steps: number | null, runs: readonly Run[]): number | null {
  if (steps === null) return null;
  const wanted = kind(run);
  const like = runs.find(
    (other) => other.state === 'done' && other.step > 0 && other.startedAt && kind(other) === wanted,
  );
  if (!like?.startedAt || !like.endedAt) return null;
  const msPerStep = (Date.parse(like.endedAt) - Date.parse(like.startedAt)) / like.step;
  return msPerStep * Math.max(0, steps - run.step);
}
