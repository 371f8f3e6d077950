import { createHash } from 'node:crypto';
import type { ModelIdentity } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { BenchmarkName } from '../../contract/evaluation/benchmarks.ts';
import type { ScoredData } from '../../contract/inputs.ts';
import { computationVersion } from '../../engine/protocol.ts';
import type { BenchmarkItem, RowBenchmark } from '../../evaluation/benchmarks/benchmark.ts';
import { findBenchmark, perplexity } from '../../evaluation/benchmarks/registry.ts';
import { answersOf, computationOf, templateOf } from '../../formats/model/identity.ts';
import type { ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { ModelService } from '../models/models.ts';
import type { RunService } from '../runs/runService.ts';
import { givenData, perplexityData, type EvaluationData } from './evaluationData.ts';
import type { EvaluationSettings } from './evaluationJobs.ts';
import { examplePool } from './itemJob.ts';
import { chatRendering, type Subject } from './subjects.ts';
import { findJudge, type LocalJudge } from './verdicts/localJudge.ts';

interface Parts {
  context: ServiceContext;
  models: ModelService;
  datasets: DatasetService;
  runs: RunService;
}

/** What decides an evaluation, found out before anything is computed. */
export interface Identified {
  /** Null: perplexity. */
  benchmark: RowBenchmark | null;
  data: EvaluationData;
  /** Items from which solved examples are taken; null: those that are scored, or none. */
  pool: BenchmarkItem[] | null;
  judge: LocalJudge | null;
  /** Of the items and what is shown before them. */
  dataHash: string;
  version: string;
  /** Of all that decides its outcome, and of that without how many items there are. */
  key: string;
  itemsKey: string;
}

/** Who judges the answers; null: the benchmark grades them itself. @throws StudioError as findJudge does */
async function judgeOf(
  { context, models, runs }: Parts,
  { benchmark: name, judge }: EvaluationSettings,
): Promise<LocalJudge | null> {
  const benchmark = findBenchmark(name);
  if (!judge || benchmark?.kind !== 'generate' || !benchmark.judged) return null;
  return findJudge(context, models, runs, judge, benchmark.judged.version);
}

/** The data of an evaluation, and the keys of all that decides its outcome. */
export async function identifyEvaluation(
  parts: Parts,
  subject: Subject,
  settings: EvaluationSettings,
): Promise<Identified> {
  const { context, datasets } = parts;
  const benchmark = findBenchmark(settings.benchmark);
  const judge = await judgeOf(parts, settings);
  const data =
    benchmark === null
      ? await perplexityData(context, datasets, subject, settings.data)
      : await givenData(datasets, requireData(settings));
  const { version } = benchmark ?? perplexity;
  // What is shown as solved is a part of what is asked.
  const pool = benchmark === null ? null : await examplePool(benchmark, data, settings.shots);
  const shown =
    pool === null ? null : hashOf(pool.map(({ id, question, solution }) => [id, question, solution]));
  const { limit, shots, maxTokens, seed, chat, system, temperature, topP, samples, pattern } = settings;
  const decisive = [
    ...(benchmark === null ? [] : [shots, shown, benchmark.kind === 'choice' && shots === 0 ? 0 : seed]),
    ...(benchmark?.kind === 'generate' ? [maxTokens, temperature, topP, samples, pattern ?? null] : []),
    ...(settings.task === undefined ? [] : [`task ${settings.task}`]),
    ...(judge === null ? [] : [`judge ${judge.identity}`]),
    // Through which template texts went; prompts that go on as they are go through none.
    ...(benchmark === null || chat
      ? [templateOf(subject.model), chatRendering(context, subject.run).template, system ?? null]
      : []),
  ];
  const states = [baseOf(subject.identity, settings.benchmark), subject.adapterHash];
  const keyOf = (more: readonly unknown[]) =>
    createHash('sha256')
      .update(JSON.stringify([computationVersion, settings.benchmark, version, states, data.hash, ...more]))
      .digest('hex');
  return {
    benchmark,
    data,
    pool,
    // Items with other examples before them are other items.
    dataHash: shots === 0 ? data.hash : hashOf([data.hash, version, shots, seed, shown]),
    judge,
    // Verdicts of two judges are not compared with each other.
    version:
      version +
      (chat ? '-chat' : '') +
      (judge === null ? '' : `+${judge.version}@${judge.identity.slice(0, 8)}`),
    key: keyOf([decisive, limit]),
    itemsKey: keyOf(['items', decisive]),
  };
}

/** What a benchmark's score depends on of a model. */
export function baseOf(identity: ModelIdentity, benchmark: BenchmarkName): string {
  return benchmark === 'perplexity'
    ? `${computationOf(identity)} ${identity.tokenizer}`
    : answersOf(identity);
}

/** @throws StudioError usage */
export function requireData({ benchmark, data }: Pick<EvaluationSettings, 'benchmark' | 'data'>): ScoredData {
  if (data !== null) return data;
  throw new StudioError(
    'usage',
    `${benchmark} needs its data.`,
    'Choose a dataset, or give the file, for example gsm8k/test.jsonl.',
  );
}

function hashOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
