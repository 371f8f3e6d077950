import type { Curves, EvalMetric, StepMetric } from '../../contract/runRecords.ts';
import { smoothedFrom, startOfSmoothing } from '../../statistics/smoothing.ts';
import type { ReadableDatabase } from '../../store/database.ts';
import { appendSteps, emptyColumns, readEvals, type StepColumns } from '../../store/metrics.ts';

/** What of a run's curves is asked for. */
export interface CurveQuery {
  /**
   * First and last step; absent: from the start, to the end. Neighbours outside are added, so that lines reach the
   * edge.
   */
  from?: number | undefined;
  to?: number | undefined;
  /** Steps at most, chosen so that extremes stay; absent: all of the range. */
  points?: number | undefined;
  /** Weight of the moving average of the loss; absent: none is made. */
  smoothing?: number | undefined;
}

export interface CurveReader {
  read(runId: string, query: CurveQuery): Curves;
  /** To be called where recorded steps are taken back. */
  forget(runId: string): void;
}

/** So many runs stay in memory (100,000 steps: 5 MB), so that a zoom reads only what is new. */
const runsHeld = 4;

/** Reads curves in any range and detail. */
export function createCurveReader(database: ReadableDatabase): CurveReader {
  /** The last asked for comes last. */
  const held = new Map<string, StepColumns>();

  const columnsOf = (runId: string): StepColumns => {
    const columns = held.get(runId) ?? emptyColumns();
    appendSteps(database, runId, columns);
    held.delete(runId);
    held.set(runId, columns);
    for (const [oldest] of held) if (held.size > runsHeld) held.delete(oldest);
    return columns;
  };

  return {
    read(runId, { from = 0, to = Infinity, points = Infinity, smoothing }) {
      const columns = columnsOf(runId);
      const total = columns.step.length;
      const begin = Math.max(0, firstAtOrAfter(columns.step, from) - (points < Infinity ? 1 : 0));
      const end = Math.min(total, firstAtOrAfter(columns.step, to + 1) + (points < Infinity ? 1 : 0));
      const { loss, lr, gradNorm, tokensPerSecond, memoryBytes } = columns;
      const rows = chooseRows(
        [loss, lr, gradNorm, tokensPerSecond, memoryBytes],
        { begin, end: Math.max(begin, end) },
        points,
      );
      return {
        steps: rows.map((row) => stepAt(columns, row)),
        smoothed: smoothing === undefined ? [] : smoothedAt(loss, rows, smoothing),
        evals: chosenEvals(readEvals(database, runId, from, to), points),
        total,
      };
    },
    forget: (runId) => held.delete(runId),
  };
}

function stepAt(columns: StepColumns, row: number): StepMetric {
  const memory = columns.memoryBytes[row]!;
  return {
    step: columns.step[row]!,
    loss: columns.loss[row]!,
    lr: columns.lr[row]!,
    gradNorm: columns.gradNorm[row]!,
    tokensPerSecond: columns.tokensPerSecond[row]!,
    memoryBytes: Number.isNaN(memory) ? null : memory,
  };
}

/**
 * The average runs over all steps from the first on and is read off at `rows`: how much of a curve is shown does not
 * change it.
 */
function smoothedAt(values: readonly number[], rows: readonly number[], weight: number): number[] {
  let state = startOfSmoothing;
  let next = 0;
  return rows.map((row) => {
    while (next <= row) state = smoothedFrom(state, values[next++]!, weight);
    return state.value;
  });
}

function chosenEvals(evals: EvalMetric[], most: number): EvalMetric[] {
  const loss = evals.map((metric) => metric.loss);
  return chooseRows([loss], { begin: 0, end: evals.length }, most).map((row) => evals[row]!);
}

/** Number of ascending values below `limit`. */
function firstAtOrAfter(ascending: readonly number[], limit: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Rows that stand for all rows of a set of curves: the first and the last, and of each bucket of neighbours those at
 * which any of the columns is smallest or greatest. Nothing is averaged and no spike is lost: what is drawn are
 * measured points.
 *
 * Buckets hold a power of two of rows and begin at multiples of it, so that the choice does not flicker while a range
 * is moved.
 *
 * @param columns values of all rows; NaN: none
 * @param range rows `begin` to before `end`
 * @param most rows that may be chosen; with fewer than `2 + 4 * columns.length` one bucket or two are taken all the
 * same
 * @returns ascending row numbers; all of the range where they are no more than `most`
 */
export function chooseRows(
  columns: readonly (readonly number[])[],
  { begin, end }: { begin: number; end: number },
  most: number,
): number[] {
  const count = Math.max(0, end - begin);
  if (count <= most) return Array.from({ length: count }, (_, i) => begin + i);
  const chosen: number[] = [begin];
  const size = bucketSize(begin, end, (most - 2) / (2 * columns.length));
  for (let first = begin; first < end;) {
    const next = Math.min(end, (Math.floor(first / size) + 1) * size);
    const rows = columns.flatMap((column) => extremesOf(column, first, next)).sort((a, b) => a - b);
    for (const row of rows) if (row > chosen.at(-1)!) chosen.push(row);
    first = next;
  }
  if (chosen.at(-1)! < end - 1) chosen.push(end - 1);
  return chosen;
}

function bucketSize(begin: number, end: number, mostBuckets: number): number {
  const bucketsOf = (size: number) => Math.floor((end - 1) / size) - Math.floor(begin / size) + 1;
  let size = 1;
  while (bucketsOf(size) > mostBuckets && size < end) size *= 2;
  return size;
}

/** Where a column is smallest and greatest; nothing where it has no value. */
function extremesOf(column: readonly number[], begin: number, end: number): number[] {
  let [least, greatest] = [-1, -1];
  for (let row = begin; row < end; row++) {
    const value = column[row]!;
    if (Number.isNaN(value)) continue;
    if (least < 0 || value < column[least]!) least = row;
    if (greatest < 0 || value > column[greatest]!) greatest = row;
  }
  return least < 0 ? [] : [least, greatest];
}
