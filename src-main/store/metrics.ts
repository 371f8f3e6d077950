import type {
  EvalMetric,
  LogLine,
  RouterLayout,
  RouterRecord,
  Sample,
  SourceCurve,
  SourceMetric,
  StepMetric,
} from '../contract/runRecords.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { insertLogs } from './runLogs.ts';
import { insertRouterRecords } from './router.ts';
import { insertSamples } from './samples.ts';

/** A batch of what a run records. */
export interface RecordedBatch {
  steps: readonly StepMetric[];
  evals: readonly EvalMetric[];
  /** Of the sources of a mix; absent: none. */
  sources?: readonly SourceMetric[];
  /** Absent: none. */
  samples?: readonly Sample[];
  /** Use of experts; absent: none was recorded. */
  router?: { layout: RouterLayout; records: readonly RouterRecord[] } | null;
  logs: readonly Omit<LogLine, 'id'>[];
}

/** Steps of a run in order, a column a metric; NaN where a value was not recorded. */
export type StepColumns = Record<keyof StepMetric, number[]>;

export function emptyColumns(): StepColumns {
  return { step: [], loss: [], lr: [], gradNorm: [], tokensPerSecond: [], memoryBytes: [] };
}

/**
 * Writes a batch in one transaction; metrics of a repeated step (after a resume) replace the old ones. @returns the
 * log's lines as stored
 */
export function writeMetrics(
  database: WritableDatabase,
  runId: string,
  { steps, evals, sources = [], samples = [], router, logs }: RecordedBatch,
): LogLine[] {
  const { writable } = database;
  const step = writable.prepare(
    'INSERT OR REPLACE INTO step_metrics (run_id, step, loss, lr, grad_norm, tokens_per_second, memory_bytes) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const evaluation = writable.prepare('INSERT OR REPLACE INTO eval_metrics VALUES (?, ?, ?, ?, ?)');
  return writable.transaction(() => {
    for (const m of steps)
      step.run(runId, m.step, m.loss, m.lr, m.gradNorm, m.tokensPerSecond, m.memoryBytes);
    for (const m of evals) evaluation.run(runId, m.step, m.loss, m.rows, m.tokens);
    const source =
      sources.length === 0
        ? null
        : writable.prepare('INSERT OR REPLACE INTO source_metrics VALUES (?, ?, ?, ?, ?, ?)');
    for (const m of sources)
      for (const of of m.sources)
        source?.run(runId, m.step, Number(m.heldOut), of.source, of.loss, of.tokens);
    insertSamples(database, runId, samples);
    if (router) insertRouterRecords(database, runId, router);
    return insertLogs(database, runId, logs);
  })();
}

/**
 * Mean training loss of the last `steps` recorded steps; null before the first.
 * @param lastStep the last one that counts
 */
export function recentLossOf(
  { readable }: ReadableDatabase,
  runId: string,
  steps: number,
  lastStep = Number.MAX_SAFE_INTEGER,
): number | null {
  const last = 'SELECT loss FROM step_metrics WHERE run_id = ? AND step <= ? ORDER BY step DESC LIMIT ?';
  return readable.prepare(`SELECT AVG(loss) FROM (${last})`).pluck().get(runId, lastStep, steps) as
    number | null;
}

/** Forgets metrics after a step: a run resumed from there writes them anew. */
export function dropMetricsAfter({ writable }: WritableDatabase, runId: string, step: number): void {
  writable.transaction(() => {
    writable.prepare('DELETE FROM step_metrics WHERE run_id = ? AND step > ?').run(runId, step);
    writable.prepare('DELETE FROM eval_metrics WHERE run_id = ? AND step > ?').run(runId, step);
    writable.prepare('DELETE FROM source_metrics WHERE run_id = ? AND step > ?').run(runId, step);
    writable.prepare('DELETE FROM samples WHERE run_id = ? AND step > ?').run(runId, step);
    writable.prepare('DELETE FROM router_records WHERE run_id = ? AND step > ?').run(runId, step);
  })();
}

/** Gives one run the metrics and answers of another up to a step, whatever columns they have. */
export function copyMetrics(
  { writable }: WritableDatabase,
  fromRun: string,
  toRun: string,
  lastStep: number,
): void {
  writable.transaction(() => {
    for (const table of ['step_metrics', 'eval_metrics', 'source_metrics', 'samples', 'router_records']) {
      const columns = writable.prepare(`SELECT name FROM pragma_table_info('${table}')`).pluck().all();
      const others = columns.filter((name) => name !== 'run_id').join(', ');
      writable
        .prepare(
          `INSERT INTO ${table} (run_id, ${others}) SELECT ?, ${others} FROM ${table} WHERE run_id = ? AND step <= ?`,
        )
        .run(toRun, fromRun, lastStep);
    }
    writable
      .prepare('INSERT INTO router_layouts SELECT ?, layout FROM router_layouts WHERE run_id = ?')
      .run(toRun, fromRun);
  })();
}

/** The training loss of one step; null where it was not recorded. */
export function stepLoss({ readable }: ReadableDatabase, runId: string, step: number): number | null {
  const loss = readable
    .prepare('SELECT loss FROM step_metrics WHERE run_id = ? AND step = ?')
    .pluck()
    .get(runId, step);
  return typeof loss === 'number' ? loss : null;
}

/** Adds to columns the steps that come after their last one. */
export function appendSteps({ readable }: ReadableDatabase, runId: string, columns: StepColumns): void {
  const rows = readable
    .prepare(
      'SELECT step, loss, lr, grad_norm, tokens_per_second, memory_bytes FROM step_metrics WHERE run_id = ? AND step > ? ORDER BY step',
    )
    .raw()
    .iterate(runId, columns.step.at(-1) ?? -1) as IterableIterator<
    [number, number, number, number, number, number | null]
  >;
  for (const [step, loss, lr, gradNorm, tokensPerSecond, memoryBytes] of rows) {
    columns.step.push(step);
    columns.loss.push(loss);
    columns.lr.push(lr);
    columns.gradNorm.push(gradNorm);
    columns.tokensPerSecond.push(tokensPerSecond);
    columns.memoryBytes.push(memoryBytes ?? NaN);
  }
}

/** Evaluations from one step to another, both included. */
export function readEvals(
  { readable }: ReadableDatabase,
  runId: string,
  from = 0,
  to = Infinity,
): EvalMetric[] {
  return readable
    .prepare(
      'SELECT step, loss, rows, tokens FROM eval_metrics WHERE run_id = ? AND step >= ? AND step <= ? ORDER BY step',
    )
    .all(runId, from, Math.min(to, Number.MAX_SAFE_INTEGER)) as EvalMetric[];
}

/**
 * Losses of the sources of a mix, each in at most `points` stretches of the run.
 * @returns by source, held-out losses after those of training; empty where none was recorded
 */
export function readSourceLosses(
  { readable }: ReadableDatabase,
  runId: string,
  points: number,
): SourceCurve[] {
  const last = readable
    .prepare('SELECT MAX(step) FROM source_metrics WHERE run_id = ?')
    .pluck()
    .get(runId) as number | null;
  if (last === null) return [];
  const rows = readable
    .prepare(
      `SELECT held_out, source, MAX(step) AS step, SUM(loss * tokens) / SUM(tokens) AS loss, SUM(tokens) AS tokens
       FROM source_metrics WHERE run_id = ? GROUP BY held_out, source, CAST(step * ? / ? AS INTEGER) ORDER BY held_out, source, step`,
    )
    .all(runId, Math.min(points, last + 1), last + 1) as {
    held_out: number;
    source: number;
    step: number;
    loss: number;
    tokens: number;
  }[];
  const found: SourceCurve[] = [];
  for (const { held_out, source, ...point } of rows) {
    const heldOut = held_out === 1;
    const known = found.at(-1);
    if (known?.source === source && known.heldOut === heldOut) known.points.push(point);
    else found.push({ source, heldOut, points: [point] });
  }
  return found;
}

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
