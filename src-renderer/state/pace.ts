import { countRows } from '../../src-main/contract/datasets/parts.ts';
import type { Dataset, Run } from '../../src-main/contract/entities.ts';

/** How fast a run goes, from the moments at which its steps arrived here. */
export interface Pace {
  /** Milliseconds since 1970, and the step reached then; oldest first. */
  seen: readonly { at: number; step: number }[];
}

/** Seconds looked back: long enough to even out evaluations, short enough to follow a change. */
const windowMs = 60_000;

export function withStep(pace: Pace, step: number, at: number): Pace {
  const last = pace.seen.at(-1);
  // A run that went back to a checkpoint starts anew.
  const kept = last && step < last.step ? [] : pace.seen.filter((entry) => at - entry.at <= windowMs);
  return { seen: [...kept, { at, step }] };
}

/** Milliseconds until the last step; null where nothing can be said yet. */
export function remainingMs(pace: Pace, totalSteps: number | null): number | null {
  const [first, last] = [pace.seen[0], pace.seen.at(-1)];
  if (!first || !last || totalSteps === null || last.step <= first.step || last.at <= first.at) return null;
  return ((totalSteps - last.step) * (last.at - first.at)) / (last.step - first.step);
}

/** Nobody wonders earlier, and evaluations and checkpoints take their time between two steps. */
const shortestStallMs = 10_000;
const usualStepsOfAStall = 5;

/**
 * How long no step has come from a run that trains, where that is unusual, and what is usual: a step that takes long is
 * no fault by itself.
 * @returns milliseconds; null where nothing is unusual, or nothing can be said yet
 */
export function stallOf(pace: Pace, now: number): { sinceMs: number; usualMs: number } | null {
  const [first, last] = [pace.seen[0], pace.seen.at(-1)];
  if (!first || !last || last.step <= first.step) return null;
  const usualMs = (last.at - first.at) / (last.step - first.step);
  const sinceMs = now - last.at;
  return sinceMs > Math.max(shortestStallMs, usualStepsOfAStall * usualMs) ? { sinceMs, usualMs } : null;
}

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
  const rows = countRows(dataset, 'train') - Math.round(countRows(dataset, 'train') * heldOutFraction);
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
