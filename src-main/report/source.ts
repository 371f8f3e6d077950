import { seedsOf } from '../evaluation/confounders.ts';
import type { Run } from '../contract/entities.ts';
import type { Evaluation, EvaluationItem } from '../contract/results.ts';
import type { ScoredColumn } from './columns.ts';
import type { ReportColumn, ReportGroup, ReportScore } from './report.ts';

/** What a report is made of. */
export interface ReportSource {
  title: string;
  question: string;
  createdAt: string;
  studio: string;
  computation: string;
  columns: readonly ScoredColumn[];
  leftOut: readonly Evaluation[];
  runs: ReadonlyMap<string, Run>;
  /** By the evaluations' ids. */
  items: ReadonlyMap<string, readonly EvaluationItem[]>;
  modelParameters(modelId: string): number | null;
  benchmarkLabel(benchmark: string): string;
  /** Name of a run or a base model with which marks compare; null: LoRA, else the base model. */
  against: string | null;
  /** What must be known beside it. */
  notes: readonly string[];
}

/** What whoever was scored is called: a run by its present name. */
export function subjectNameOf(
  { runs }: Pick<ReportSource, 'runs'>,
  { runId, subject, modelName }: Evaluation,
): string {
  const run = runId === null ? undefined : runs.get(runId);
  return run?.name ?? (subject === 'base' ? `${modelName} (base)` : subject);
}

/** An evaluation as it is stored, without what a report says elsewhere. */
export function storedScore(source: Pick<ReportSource, 'runs'>, evaluation: Evaluation): ReportScore {
  const { id, modelName, benchmark, version, metric, score, interval, n, shots, prompts } = evaluation;
  const run = evaluation.runId === null ? undefined : source.runs.get(evaluation.runId);
  return {
    id,
    subject: subjectNameOf(source, evaluation),
    model: modelName,
    benchmark,
    version,
    metric,
    score,
    interval,
    n,
    shots,
    isChat: prompts?.chat ?? false,
    precision: evaluation.precision,
    data: evaluation.dataPath,
    dataHash: evaluation.dataHash,
    trainingSeed: seedsOf(run)[0] ?? null,
    seed: evaluation.seed,
    createdAt: evaluation.createdAt,
  };
}

/** What one seed does not cover, said of those that have one. */
export function seedNotes(groups: readonly ReportGroup[]): string[] {
  const trained = groups.flatMap(({ subjects }) => subjects.filter(({ runs }) => runs.length > 0));
  const single = trained.filter(({ seeds }) => seeds.length === 1);
  if (single.length === 0) return [];
  const who =
    single.length === trained.length
      ? 'Each setting'
      : `Of ${single.map(({ name }) => name).join(', ')} each`;
  return [
    `${who} was trained with one seed (n = 1): its interval is of the items alone, and does not cover what another seed would change.`,
  ];
}

/** What must be known of losses and estimates. */
export function columnNotes(columns: readonly ReportColumn[]): string[] {
  return [
    ...(columns.some((column) => column.unit === 'nats')
      ? [
          'Losses are means over items in nats per answer token, as the paired test compares them; perplexities stand among the stored scores.',
        ]
      : []),
    ...(columns.some((column) => column.measure.startsWith('pass@') && column.measure !== 'pass@1')
      ? [
          'pass@k is the unbiased estimate of each task (Chen et al. 2021); its tests compare these estimates task by task.',
        ]
      : []),
  ];
}

/** A score that is in no table. */
export function leftOutText(
  source: Pick<ReportSource, 'runs' | 'benchmarkLabel'>,
  evaluation: Evaluation,
): string {
  const { benchmark, n, version, createdAt } = evaluation;
  return `${subjectNameOf(source, evaluation)} on ${n} items of ${source.benchmarkLabel(benchmark)} (${version}, ${createdAt.slice(0, 10)}): other items or prompts than those of the table.`;
}
