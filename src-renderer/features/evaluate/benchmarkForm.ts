import type { ProcedureInput } from '../../../src-main/contract/procedures.ts';
import type { BenchmarkInfo } from '../../../src-main/contract/evaluation/benchmarks.ts';

/** What is scored: a benchmark, its items, how many of them, and how they are asked. */
export interface BenchmarkForm {
  benchmark: string;
  datasetId: string | null;
  limit: number | null;
  /** Null: as many as the benchmark has by custom; likewise the length of answers. */
  shots: number | null;
  maxTokens: number | null;
  chat: boolean;
  pattern: string;
  /** Model that judges; null: none. */
  judgeId: string | null;
}

/** What was stored, as far as it is of the right kind. @param limit where none was */
export function restoreBenchmark(saved: Partial<BenchmarkForm>, limit: number | null): BenchmarkForm {
  const number = (value: unknown) => (typeof value === 'number' ? value : null);
  return {
    benchmark: typeof saved.benchmark === 'string' ? saved.benchmark : 'perplexity',
    datasetId: saved.datasetId ?? null,
    limit: number(saved.limit) ?? limit,
    shots: number(saved.shots),
    maxTokens: number(saved.maxTokens),
    chat: saved.chat === true,
    pattern: typeof saved.pattern === 'string' ? saved.pattern : '',
    judgeId: saved.judgeId ?? null,
  };
}

type Asked = Omit<ProcedureInput<'evaluations.start'>, 'model' | 'adapter' | 'precision'>;

/** The form as it is asked for: only what the benchmark reads of it. */
export function askedOf(form: BenchmarkForm, info: BenchmarkInfo | undefined): Asked {
  const isLoss = info === undefined || info.kind === 'loss';
  return {
    benchmark: form.benchmark,
    data: form.datasetId === null ? null : { dataset: form.datasetId },
    limit: form.limit,
    ...(!isLoss && form.shots !== null && info.shots.most > 0 ? { shots: form.shots } : {}),
    ...(!isLoss && form.chat ? { chat: true } : {}),
    ...(info?.kind === 'generate' && form.maxTokens !== null ? { maxTokens: form.maxTokens } : {}),
    ...(info?.needs === 'pattern' ? { pattern: form.pattern } : {}),
    ...(info?.takesJudge && form.judgeId !== null ? { judge: { model: form.judgeId } } : {}),
  };
}

/** What the form lacks; null: nothing. @param hasOwnData whether perplexity has rows of the run to fall back on */
export function missingOf(
  form: BenchmarkForm,
  info: BenchmarkInfo | undefined,
  hasOwnData: boolean,
): string | null {
  if (info === undefined) return 'Choose a benchmark.';
  if (form.datasetId === null && (info.kind !== 'loss' || !hasOwnData))
    return `Choose a dataset. ${info.label} needs: ${info.data}`;
  if (info.needs === 'pattern' && form.pattern === '')
    return 'Give an expression whose first group is the answer.';
  if (info.needs === 'judge' && form.judgeId === null) return 'Choose the model that judges.';
  return null;
}
