import type { Curves, EvalMetric, StepMetric } from '../../src-main/contract/runRecords.ts';
import { smoothedFrom } from '../../src-main/statistics/smoothing.ts';
import type { StudioClient } from '../rpc/client.ts';

/** A run's curves as the page holds them: an overview from the core, and the steps that have come since. */
export interface HeldCurves extends Curves {
  /** Weight of the moving average in `smoothed`. */
  smoothing: number;
}

/** Curves without their place in a run. */
export type DrawnCurves = Pick<Curves, 'steps' | 'smoothed' | 'evals'>;

export const noCurves: HeldCurves = { steps: [], smoothed: [], evals: [], total: 0, smoothing: 0 };

/** Adds the steps that are not there yet; the moving average goes on where the core's ends. */
export function withSteps(curves: HeldCurves, batch: readonly StepMetric[]): HeldCurves {
  const last = curves.steps.at(-1)?.step ?? -Infinity;
  const added = batch.filter(({ step }) => step > last);
  if (added.length === 0) return curves;
  const { smoothing } = curves;
  let average = { value: curves.smoothed.at(-1) ?? 0, bias: smoothing ** curves.total };
  const smoothed = added.map(({ loss }) => {
    average = smoothedFrom(average, loss, smoothing);
    return average.value;
  });
  return {
    ...curves,
    steps: [...curves.steps, ...added],
    smoothed: [...curves.smoothed, ...smoothed],
    total: curves.total + added.length,
  };
}

/** Adds an evaluation that is not there yet. */
export function withEval(curves: HeldCurves, metric: EvalMetric): HeldCurves {
  if (metric.step <= (curves.evals.at(-1)?.step ?? -Infinity)) return curves;
  return { ...curves, evals: [...curves.evals, metric] };
}

/** The overview with a range of it in more detail. */
export function withDetail(overview: DrawnCurves, detail: DrawnCurves | null): DrawnCurves {
  const [first, last] = [detail?.steps[0]?.step, detail?.steps.at(-1)?.step];
  if (!detail || first === undefined || last === undefined) return overview;
  const [begin, end] = [placeOf(overview.steps, first), placeOf(overview.steps, last + 1)];
  return {
    steps: [...overview.steps.slice(0, begin), ...detail.steps, ...overview.steps.slice(end)],
    smoothed: [...overview.smoothed.slice(0, begin), ...detail.smoothed, ...overview.smoothed.slice(end)],
    evals: [
      ...overview.evals.filter(({ step }) => step < first),
      ...detail.evals.filter(({ step }) => step >= first && step <= last),
      ...overview.evals.filter(({ step }) => step > last),
    ],
  };
}

/** What lies in a range, and one neighbour on each side, so that lines reach the edge. */
export function within(curves: DrawnCurves, range: { from: number; to: number } | null): DrawnCurves {
  if (!range) return curves;
  const cut = <T extends { step: number }>(entries: readonly T[]): [number, number] => [
    Math.max(0, placeOf(entries, range.from) - 1),
    placeOf(entries, range.to) + 1,
  ];
  const bounds = cut(curves.steps);
  return {
    steps: curves.steps.slice(...bounds),
    smoothed: curves.smoothed.slice(...bounds),
    evals: curves.evals.slice(...cut(curves.evals)),
  };
}

/** Number of the first entry at or after a step. */
export function placeOf(entries: readonly { step: number }[], step: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle]!.step < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

const stepsAtATime = 10_000;

/**
 * All recorded steps of a run as CSV, fetched in pieces: the page itself holds only what it draws.
 * @param lastStep the last one to be fetched
 * @throws StudioError
 */
export async function curvesCsv(client: StudioClient, runId: string, lastStep: number): Promise<Blob> {
  const pieces = ['step,loss,held_out_loss,lr,grad_norm,tokens_per_second,memory_bytes\n'];
  for (let from = 0; from <= lastStep; from += stepsAtATime) {
    const to = Math.min(lastStep, from + stepsAtATime - 1);
    pieces.push(csvLines(await client.call('runs.curves', { run: runId, from, to })));
  }
  return new Blob(pieces, { type: 'text/csv' });
}

/** A skipped step may have been evaluated, too: it has a line with the held-out loss alone. */
function csvLines({ steps, evals }: Pick<Curves, 'steps' | 'evals'>): string {
  const heldOut = new Map(evals.map((metric) => [metric.step, metric.loss]));
  const lines = steps.map((metric) => {
    const { step, loss, lr, gradNorm, tokensPerSecond, memoryBytes } = metric;
    const line = [step, loss, heldOut.get(step) ?? '', lr, gradNorm, tokensPerSecond, memoryBytes ?? ''];
    heldOut.delete(step);
    return { step, line };
  });
  for (const [step, loss] of heldOut) lines.push({ step, line: [step, '', loss, '', '', '', ''] });
  return lines
    .sort((a, b) => a.step - b.step)
    .map(({ line }) => `${line.join(',')}\n`)
    .join('');
}
