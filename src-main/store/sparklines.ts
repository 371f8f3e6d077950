import type { ReadableDatabase } from './database.ts';

/** Steps that are averaged into one point: enough to take the noise of single batches off. */
const stepsPerPoint = 8;

/**
 * The training loss of a run in at most `points` places from its first to its last step, each the mean of a few steps:
 * what it takes to read does not grow with the run.
 */
export function readSparkline({ readable }: ReadableDatabase, runId: string, points: number): number[] {
  const { first, last } = readable
    .prepare('SELECT MIN(step) AS first, MAX(step) AS last FROM step_metrics WHERE run_id = ?')
    .get(runId) as { first: number | null; last: number | null };
  if (first === null || last === null) return [];
  // Step numbers may have gaps, where steps were skipped: a place takes the steps that come next.
  const mean = readable
    .prepare(
      'SELECT AVG(loss) FROM (SELECT loss FROM step_metrics WHERE run_id = ? AND step >= ? AND step < ? ORDER BY step LIMIT ?)',
    )
    .pluck();
  const width = (last + 1 - first) / Math.min(points, last + 1 - first);
  const values: number[] = [];
  for (let begin = first; begin <= last; begin += width) {
    const value = mean.get(runId, Math.ceil(begin), Math.ceil(begin + width), stepsPerPoint) as number | null;
    if (value !== null) values.push(value);
  }
  return values;
}
