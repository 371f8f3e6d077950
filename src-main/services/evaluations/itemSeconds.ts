import type { Evaluation } from '../../contract/results.ts';

/** Seconds an item of an evaluation as it was measured; null: it was not. */
const measuredRate = ({ measured, n }: Evaluation) => (measured === null ? null : measured.seconds / n);

/** Whose time is asked for: an evaluation, or one that is not there yet. */
export type Timed = Pick<Evaluation, 'benchmark' | 'modelId' | 'runId' | 'precision'>;

/**
 * Seconds an item takes here, by the last evaluation of the same subject, else by one of its model that was asked the
 * same; null: there is none.
 */
export function itemSeconds(wanted: Timed, all: readonly Evaluation[]): number | null {
  const alike = all.filter(
    (one) =>
      one.measured !== null &&
      one.benchmark === wanted.benchmark &&
      one.modelId === wanted.modelId &&
      one.precision === wanted.precision,
  );
  const near = alike.find(({ runId }) => runId === wanted.runId) ?? alike[0];
  return near ? measuredRate(near) : null;
}

/** The same, of one that may have been measured itself. */
export function itemSecondsOf(evaluation: Evaluation, all: readonly Evaluation[]): number | null {
  return measuredRate(evaluation) ?? itemSeconds(evaluation, all);
}
