import { columnKey } from '../../../../src-main/contract/evaluation/columns.ts';
import type { Run } from '../../../../src-main/contract/entities.ts';
import type { ScoringInput } from '../../../../src-main/contract/inputs.ts';
import type { Evaluation } from '../../../../src-main/contract/results.ts';
import { subjectName } from '../subjectName.ts';

/** What several subjects were scored by: the same items, asked in the same way. */
export interface MatrixColumn {
  key: string;
  benchmark: string;
  version: string;
  data: string;
  n: number;
  shots: number;
  isChat: boolean;
  metric: Evaluation['metric'];
  /** How to ask the same of another subject; null: it was not kept. */
  asked: ScoringInput | null;
}

/** A subject with its scores. */
export interface MatrixRow {
  key: string;
  name: string;
  modelId: string;
  modelName: string;
  /** Null: the base model, or an adapter from elsewhere. */
  run: Run | null;
  /** An adapter folder, where it is no run. */
  adapter: string | null;
  /** By the columns' keys, the newest of each. */
  scores: ReadonlyMap<string, Evaluation>;
}

export interface Matrix {
  columns: MatrixColumn[];
  rows: MatrixRow[];
}

/**
 * Scores as a table: subjects against what they were scored by. The newest columns come first; subjects are the base
 * models and adapters that have a score, and the runs that could get one.
 * @param evaluations newest first
 * @param candidates runs that have something to score
 */
export function scoreMatrix(
  evaluations: readonly Evaluation[],
  candidates: readonly Run[],
  runOf: (id: string) => Run | undefined,
): Matrix {
  const columns = new Map<string, MatrixColumn>();
  const rows = new Map<string, MatrixRow & { scores: Map<string, Evaluation> }>();
  const rowFor = (key: string, made: () => Omit<MatrixRow, 'key' | 'scores'>) => {
    const found = rows.get(key) ?? { key, ...made(), scores: new Map<string, Evaluation>() };
    rows.set(key, found);
    return found;
  };
  for (const run of candidates)
    rowFor(run.id, () => ({
      name: run.name,
      modelId: run.modelId,
      modelName: run.modelName,
      run,
      adapter: run.id,
    }));
  for (const evaluation of evaluations) {
    const { modelId, modelName, runId, subject } = evaluation;
    const run = runId === null ? undefined : runOf(runId);
    if (runId !== null && !run) continue;
    const isBase = runId === null && subject === 'base';
    const row = rowFor(runId ?? `${modelId} ${subject}`, () => ({
      name: subjectName(evaluation, run),
      modelId,
      modelName,
      run: run ?? null,
      adapter: isBase ? null : (run?.id ?? subject),
    }));
    const key = columnKey(evaluation);
    const { benchmark, version, dataPath, n, shots, prompts, metric, asked } = evaluation;
    if (!columns.has(key))
      columns.set(key, {
        key,
        benchmark,
        version,
        data: dataPath.split('/').at(-1)!,
        n,
        shots,
        isChat: prompts?.chat ?? false,
        metric,
        asked,
      });
    if (!row.scores.has(key)) row.scores.set(key, evaluation);
  }
  return { columns: [...columns.values()], rows: [...rows.values()] };
}

/** Rows in the order of a column's scores, the best first; those without one come last. */
export function byScore(rows: readonly MatrixRow[], column: MatrixColumn): MatrixRow[] {
  const sign = column.metric === 'perplexity' ? 1 : -1;
  const value = (row: MatrixRow) => row.scores.get(column.key)?.score;
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined);
    return sign * (x - y);
  });
}

/** Rows whose names, methods, studies or tags hold every word. */
export function matching(rows: readonly MatrixRow[], filter: string): MatrixRow[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter(({ name, modelName, run }) => {
    const text = [name, modelName, run?.config.adapter.method, ...(run?.tags ?? [])].join('\n').toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
