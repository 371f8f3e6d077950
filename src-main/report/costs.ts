import type { Run } from '../contract/entities.ts';
import type { Evaluation } from '../contract/results.ts';
import type { ScoredColumn } from './columns.ts';
import type { Measurement, ReportCost } from './report.ts';

/** Adapters are kept in single precision. */
const bytesPerNumber = 4;

/**
 * The column of which time and memory are told: the one that was measured for most subjects, of those the one with the
 * most items. Null: none was.
 */
export function timedColumn(columns: readonly ScoredColumn[]): number | null {
  let chosen: number | null = null;
  const measured = columns.map(({ evaluations }) => evaluations.filter((one) => one.measured !== null));
  for (const [i, some] of measured.entries()) {
    if (some.length === 0) continue;
    const best = chosen === null ? [] : measured[chosen]!;
    if (some.length > best.length || (some.length === best.length && some[0]!.n > best[0]!.n)) chosen = i;
  }
  return chosen;
}

/**
 * What a subject took, as it was measured on this machine: adapters stay beside the base model while they are scored,
 * none is merged into it.
 * @param scored its scores in the column that was timed
 * @param base the base model's there
 */
export function costsOf(
  runs: readonly Run[],
  scored: readonly Evaluation[],
  base: Evaluation | null,
): ReportCost {
  const timed = scored.flatMap(({ measured, n }) => (measured ? [{ ...measured, n }] : []));
  const peak = measurement(timed.map(({ peakMemoryBytes }) => peakMemoryBytes));
  const [first] = runs;
  const numbers = first && first.trainable !== null ? first.trainable + (first.frozenExtra ?? 0) : null;
  // A full fine-tuning changes the base itself: nothing stands beside it.
  const beside = first?.config.adapter.method === 'full' ? 0 : numbers;
  return {
    secondsPerItem: measurement(timed.map(({ seconds, n }) => seconds / n)),
    peakBytes: peak,
    extraBytes: peak && base?.measured && first ? peak.mean - base.measured.peakMemoryBytes : null,
    numberBytes: beside === null ? null : beside * bytesPerNumber,
    trainingSecondsPerStep: measurement(runs.flatMap(({ measured }) => measured?.secondsPerStep ?? [])),
    trainingPeakBytes: measurement(runs.flatMap(({ measured }) => measured?.peakMemoryBytes ?? [])),
    trainingCardPeakBytes: measurement(runs.flatMap(({ measured }) => measured?.cardPeak?.bytes ?? [])),
  };
}

function measurement(values: readonly number[]): Measurement | null {
  if (values.length === 0) return null;
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    least: values.reduce((least, value) => Math.min(least, value), Infinity),
    most: values.reduce((most, value) => Math.max(most, value), -Infinity),
    n: values.length,
  };
}
