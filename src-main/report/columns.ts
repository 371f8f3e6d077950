import { columnKey } from '../contract/evaluation/columns.ts';
import type { Evaluation } from '../contract/results.ts';

/** Scores that were asked in one way: of each subject the newest. */
export interface ScoredColumn {
  key: string;
  evaluations: Evaluation[];
}

/** Key of whoever was scored: a run, or a model or an adapter as it is called. */
export function subjectKey({ runId, modelId, subject }: Evaluation): string {
  return runId ?? `${modelId} ${subject}`;
}

/**
 * The columns of a report. Scores of other items, prompts or versions are other columns; of one benchmark on one file,
 * asked in one way, the column with the most subjects stands, then the one with the most items, then the newest.
 * @param evaluations of the subjects, newest first
 * @returns the columns, and the scores that stand in none
 */
export function chooseColumns(evaluations: readonly Evaluation[]): {
  columns: ScoredColumn[];
  leftOut: Evaluation[];
} {
  const columns = new Map<string, ScoredColumn>();
  for (const evaluation of evaluations) {
    const key = columnKey(evaluation);
    const column = columns.get(key) ?? { key, evaluations: [] };
    columns.set(key, column);
    const subject = subjectKey(evaluation);
    if (!column.evaluations.some((other) => subjectKey(other) === subject))
      column.evaluations.push(evaluation);
  }
  const best = new Map<string, ScoredColumn>();
  for (const column of columns.values()) {
    const { benchmark, dataPath, shots, prompts } = column.evaluations[0]!;
    const asked = JSON.stringify([
      benchmark,
      dataPath,
      shots,
      prompts?.chat ?? false,
      prompts?.system ?? null,
    ]);
    const other = best.get(asked);
    if (!other || isRicher(column, other)) best.set(asked, column);
  }
  const chosen = [...best.values()];
  const shown = new Set(chosen.flatMap((column) => column.evaluations.map(({ id }) => id)));
  return {
    columns: chosen.sort((a, b) => (order(a) < order(b) ? -1 : 1)),
    leftOut: evaluations.filter(
      (evaluation) => !shown.has(evaluation.id) && !chosen.some(({ key }) => key === columnKey(evaluation)),
    ),
  };
}

/** The first of two that are alike is the newer one. */
function isRicher(a: ScoredColumn, b: ScoredColumn): boolean {
  const [more, fewer] = [a.evaluations.length, b.evaluations.length];
  return more !== fewer ? more > fewer : a.evaluations[0]!.n > b.evaluations[0]!.n;
}

/** As in the paper's table: mathematics, knowledge, common sense, code; then the rest, losses last. */
const usualOrder = ['gsm8k', 'mmlu', 'commonsenseqa', 'humaneval', 'humaneval_instruct'];

function order({ evaluations: [first], key }: ScoredColumn): string {
  const place = usualOrder.indexOf(first!.benchmark);
  const rank = first!.metric === 'perplexity' ? 99 : place < 0 ? 50 : place;
  return `${String(rank).padStart(2, '0')} ${first!.benchmark} ${key}`;
}
