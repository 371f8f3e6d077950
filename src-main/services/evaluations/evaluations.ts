import type { ComparisonOutcome } from '../../contract/evaluation/comparison.ts';
import type { Run } from '../../contract/entities.ts';
import type { Evaluation, EvaluationItem } from '../../contract/results.ts';
import type { ListSlice, SliceRequest } from '../../contract/listSlices.ts';
import { StudioError } from '../../contract/errors.ts';
import type { EvaluationOutlook } from '../../contract/forecast.ts';
import type { ProcedureParsedInput, ProcedureHandlers } from '../../contract/procedures.ts';
import { lossFigures } from '../../evaluation/confounders.ts';
import { findBenchmark, perplexity } from '../../evaluation/benchmarks/registry.ts';
import { compiled } from '../../evaluation/benchmarks/ownAnswers.ts';
import { meanPassAtK } from '../../evaluation/graders/humanEval.ts';
import { gradeOf, groupScores, leakWarning, scoreInterval, scoreOf } from '../../statistics/scores.ts';
import { countShared, type RowKey } from '../../data/rowKeys.ts';
import { identityOf } from '../../formats/model/identity.ts';
import { ensureProject } from '../../store/projects.ts';
import {
  findEvaluation,
  hasEvaluation,
  insertEvaluation,
  knownItems,
  listCheckpointScore,
  listEvaluations,
  readEvaluationItems,
  sliceEvaluations,
} from '../../store/results.ts';
import { missing, newId, type ServiceContext } from '../context.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { findTrainingGpu } from '../machine/engineProbe.ts';
import { trainedRowKeys } from '../mixes/runRows.ts';
import { evaluationFit, foreseeEvaluation, pastErrors } from './evaluationForecast.ts';
import type { GradingService } from './grading.ts';
import type { EvaluationSettings, PreparedEvaluation, UsualSettings } from './evaluationJobs.ts';
import { baseOf, identifyEvaluation, requireData, type Identified } from './identified.ts';
import { prepareItems } from './itemJob.ts';
import { watchItems } from './itemWatch.ts';
import { preparePerplexity } from './perplexityJob.ts';
import type { ModelService } from '../models/models.ts';
import { withProgress } from '../progress.ts';
import type { RunService } from '../runs/runService.ts';
import { findSubject, type Subject } from './subjects.ts';
import { judgeSubjects } from './verdicts/judging.ts';

export interface EvaluationService {
  /** Newest first. */
  list(): Evaluation[];
  /** Some of them. */
  slice(request: SliceRequest): ListSlice<Evaluation>;
  /** @throws StudioError not_found */
  items(reference: string): Promise<EvaluationItem[]>;
  /** Scores a subject; an evaluation with the same subject, data and settings is returned as it is. */
  start(input: ProcedureParsedInput<'evaluations.start'>, signal: AbortSignal): Promise<Evaluation>;
  /** What `start` would take; runs nothing. */
  forecast(input: ProcedureParsedInput<'evaluations.start'>, signal: AbortSignal): Promise<EvaluationOutlook>;
  /** @throws StudioError what `start` would refuse before it reads any data */
  check(input: ProcedureParsedInput<'evaluations.start'>): Promise<void>;
  /** @throws StudioError usage: no such benchmark; consent_missing, sandbox_missing where one runs programs */
  checkBenchmarks(names: readonly string[]): Promise<void>;
  /** What `start` would answer at once. @throws StudioError where it would refuse to begin */
  known(input: ProcedureParsedInput<'evaluations.start'>): Promise<Evaluation | null>;
  /** The same input for each of several runs, in their order. @throws StudioError usage, not_found */
  inputsOf(input: ProcedureParsedInput<'evaluations.compare'>): ProcedureParsedInput<'evaluations.start'>[];
  compare(
    input: ProcedureParsedInput<'evaluations.compare'>,
    signal: AbortSignal,
  ): Promise<ComparisonOutcome>;
}

export function createEvaluationService(
  context: ServiceContext,
  models: ModelService,
  datasets: DatasetService,
  runs: RunService,
  grading: Pick<GradingService, 'sandbox'>,
): EvaluationService {
  const { database, emit } = context;

  const identify = (subject: Subject, settings: EvaluationSettings) =>
    identifyEvaluation({ context, models, datasets, runs }, subject, settings);

  /** Reads and tokenizes what is scored. */
  function prepare(
    { benchmark, data, pool, itemsKey, judge }: Identified,
    subject: Subject,
    settings: EvaluationSettings,
    signal: AbortSignal,
  ): Promise<PreparedEvaluation> {
    if (benchmark === null) return preparePerplexity(context, subject, data, settings, signal);
    const known = knownItems(database, { project: context.project, itemsKey });
    const { sandbox } = grading;
    return prepareItems(context, { subject, benchmark, data, settings, pool, known, judge, sandbox }, signal);
  }

  async function askedSubject({
    model,
    adapter,
    step,
    ...asked
  }: ProcedureParsedInput<'evaluations.start'>): Promise<{ subject: Subject; settings: EvaluationSettings }> {
    const settings = withUsual(asked);
    const used = await models.getOrAdd(model);
    return { settings, subject: findSubject(context, runs, used, adapter, settings.precision, step) };
  }

  function inputsOf({ runs: names, ...asked }: ProcedureParsedInput<'evaluations.compare'>) {
    const chosen = names.map((name) => runs.get(name));
    const [first] = chosen;
    const data = ({ datasetId, mix, config }: Run) =>
      JSON.stringify([datasetId, mix, config.seed, config.heldOutFraction]);
    if (asked.data === null && chosen.some((run) => data(run) !== data(first!)))
      throw new StudioError(
        'usage',
        'These runs held different rows out: they cannot be compared on them.',
        'Choose one dataset, or give one data file, for all.',
      );
    return chosen.map(({ id, modelId, config: { precision } }) => ({
      ...asked,
      model: modelId,
      adapter: id,
      precision,
    }));
  }

  async function evaluate(
    subject: Subject,
    settings: EvaluationSettings,
    signal: AbortSignal,
  ): Promise<Evaluation> {
    // The one that is open when it begins: another may be opened while it works.
    const { project } = context;
    const identified = await identify(subject, settings);
    const { benchmark, data, dataHash, version, key, itemsKey, judge } = identified;
    const known = findEvaluation(database, project, key);
    if (known && known.step !== null && subject.step === null) {
      const listed = listCheckpointScore(context.writable(), known);
      emit({ type: 'evaluation', evaluation: listed });
      return listed;
    }
    if (known) return known;

    const of = subject.step === null ? subject.name : `${subject.name} step ${subject.step}`;
    const task = `evaluation ${of} ${settings.benchmark}`;
    const scored = withProgress(context, task, 'Tokenizing the items', async (report) => {
      const prepared = await prepare(identified, subject, settings, signal);
      const gpu = await findTrainingGpu(context.probe);
      const forecast = foreseeEvaluation(context, { subject, settings, prepared, gpu });
      report('Starting the engine');
      ensureProject(context.writable(), project);
      const watch = watchItems(context, { project, itemsKey, task, prepared });
      const begin = performance.now();
      try {
        const outcome = await prepared.run({ signal, ...watch });
        return { prepared, forecast, outcome, seconds: (performance.now() - begin) / 1000 };
      } finally {
        watch.flush();
      }
    });
    const { prepared, forecast, outcome, seconds } = await scored;
    const { sums, items } = outcome;
    const score = scoreOf(sums, items.length);
    if (!Number.isFinite(score) || items.every(({ state }) => state === 'failed'))
      throw new StudioError(
        'loss_not_finite',
        `The ${settings.benchmark} of ${subject.name} cannot be told: what it computes is not finite.`,
        'Train it again with a lower learning rate, or evaluate an earlier checkpoint.',
      );
    const evaluation: Evaluation = {
      id: newId(),
      benchmark: settings.benchmark,
      version,
      project,
      modelId: subject.model.id,
      modelName: subject.model.name,
      base: baseOf(identityOf(subject.model), settings.benchmark),
      runId: subject.run?.id ?? null,
      subject: subject.name,
      step: subject.step,
      dataPath: data.path,
      dataHash,
      shots: benchmark === null ? 0 : settings.shots,
      seed: settings.seed,
      precision: settings.precision,
      n: items.length,
      score,
      metric: benchmark === null ? 'perplexity' : 'accuracy',
      interval: scoreInterval(sums, items.length, groupScores(items)),
      sums,
      groups: groupScores(items),
      otherScores: otherScores(items),
      passAtK: benchmark?.runsCode ? passAtK(items, settings.samples) : null,
      sandbox: outcome.sandbox ?? null,
      judge:
        judge === null
          ? null
          : {
              name: judge.name,
              identity: judge.identity,
              version: judge.version,
              abstained: items.filter(({ state }) => state === 'abstained').length,
            },
      cutAnswers:
        benchmark?.kind === 'generate'
          ? items.filter(({ end }) => end === 'length' || end === 'context').length
          : null,
      prompts: prepared.prompts,
      asked: askedOf(settings),
      leak: await findLeak(context, subject, prepared.rowKeys),
      forecast,
      measured:
        prepared.pending === items.length ? { peakMemoryBytes: outcome.peakMemoryBytes, seconds } : null,
      createdAt: new Date().toISOString(),
    };
    insertEvaluation(context.writable(), evaluation, { key, itemsKey }, items);
    // Lists of scores leave out checkpoints that do not stand for their run.
    if (evaluation.step === null) emit({ type: 'evaluation', evaluation });
    return evaluation;
  }

  return {
    list: () => listEvaluations(database, context.project),
    slice: (request) => sliceEvaluations(database, context.project, request),
    async items(reference) {
      if (hasEvaluation(database, context.project, reference))
        return readEvaluationItems(database, reference);
      const known = listEvaluations(database, context.project).map(({ id }) => id);
      throw missing('evaluation', reference, known);
    },
    async start(input, signal) {
      const { subject, settings } = await askedSubject(input);
      return evaluate(subject, settings, signal);
    },
    async check(input) {
      await askedSubject(input);
      if (input.benchmark !== 'perplexity') requireData(input);
    },
    async checkBenchmarks(names) {
      const runsCode = names.filter((name) => findBenchmark(name)?.runsCode);
      if (runsCode.length > 0) await grading.sandbox(new AbortController().signal);
    },
    async known(input) {
      const { subject, settings } = await askedSubject(input);
      const { key } = await identify(subject, settings);
      return findEvaluation(database, context.project, key);
    },
    inputsOf,
    async forecast(input, signal) {
      const { subject, settings } = await askedSubject(input);
      const identified = await identify(subject, settings);
      const { key } = identified;
      const prepared = await prepare(identified, subject, settings, signal);
      const gpu = await findTrainingGpu(context.probe);
      const forecast = foreseeEvaluation(context, { subject, settings, prepared, gpu });
      const isKnown = findEvaluation(database, context.project, key) !== null;
      return { forecast, isKnown, fit: evaluationFit(forecast, gpu), errors: pastErrors(context) };
    },
    async compare(input, signal) {
      const inputs = inputsOf(input);
      const chosen = input.runs.map((name) => runs.get(name));
      const evaluations: Evaluation[] = [];
      for (const one of inputs) {
        const { subject, settings } = await askedSubject(one);
        evaluations.push(await evaluate(subject, settings, signal));
      }
      const { contextLength } = models.get(chosen[0]!.modelId);
      const figures =
        input.benchmark === 'perplexity' && input.data === null ? lossFigures(chosen, contextLength) : null;
      // Two equal adapters share their evaluation, which has the name of one of them.
      const subjects = evaluations.map((evaluation, i) => ({
        evaluation,
        name: chosen[i]!.name,
        run: chosen[i]!,
      }));
      return judgeSubjects(context, subjects, {
        warnings: evaluations.flatMap((evaluation, i) =>
          leakWarning({ ...evaluation, subject: chosen[i]!.name }),
        ),
        notes: figures === null ? [] : [figures],
      });
    },
  };
}

/** How many of the scored rows the subject was trained on; null where that is not known. */
async function findLeak(
  context: ServiceContext,
  { run }: Subject,
  rows: readonly RowKey[],
): Promise<Evaluation['leak']> {
  const trained = run && (await trainedRowKeys(context, run));
  return trained ? { items: countShared(rows, trained), dataset: run.datasetName } : null;
}

type AskedSettings = Omit<
  ProcedureParsedInput<'evaluations.start'>,
  'model' | 'adapter' | 'precision' | 'step'
>;

/** What was asked for, with what the benchmark has where nothing was said. @throws StudioError usage */
function withUsual<T extends AskedSettings>(asked: T): T & UsualSettings {
  const { shots: usual, maxTokens, label, needs, takesJudge } = findBenchmark(asked.benchmark) ?? perplexity;
  const shots = asked.shots ?? usual.usual;
  if (shots > usual.most)
    throw new StudioError(
      'usage',
      `${label} is asked with at most ${usual.most} solved examples, not ${shots}.`,
      `Ask with at most ${usual.most}.`,
    );
  if (needs === 'pattern') compiled(asked);
  if (needs === 'judge' && !asked.judge)
    throw new StudioError('usage', `${label} needs a model that judges.`, 'Choose the judge.');
  if (asked.judge && !takesJudge)
    throw new StudioError(
      'usage',
      `${label} grades answers itself: it takes no judge.`,
      'Leave the judge out, or choose the benchmark that a judge model grades.',
    );
  if (asked.judge && (asked.samples ?? 1) > 1)
    throw new StudioError(
      'usage',
      `A judge grades one answer to each item, not ${asked.samples}.`,
      'Ask for one.',
    );
  const { samples = 1, temperature = 0, topP = 1 } = asked;
  return { ...asked, shots, maxTokens: asked.maxTokens ?? maxTokens, samples, temperature, topP };
}

/** What was asked for, without what a subject decides. */
function askedOf({ precision: _precision, maxTokens, ...asked }: EvaluationSettings): Evaluation['asked'] {
  return { ...asked, ...(maxTokens > 0 && { maxTokens }) };
}

/** Which estimates are told of programs, as far as there are as many answers. */
const passedOf = [1, 5, 10] as const;

function passAtK(items: readonly EvaluationItem[], samples: number): Evaluation['passAtK'] {
  const tasks = items.map((item) => ({
    taskId: item.id,
    samples,
    passed: Math.round((gradeOf(item) ?? 0) * samples),
  }));
  return passedOf.filter((k) => k <= samples).map((k) => meanPassAtK(tasks, k));
}

function otherScores(items: readonly EvaluationItem[]): Evaluation['otherScores'] {
  const names = [...new Set(items.flatMap(({ others }) => Object.keys(others)))];
  return names.map((name) => ({
    name,
    right: items.filter(({ others }) => others[name] === true).length,
  }));
}

/** What callers ask of them. */
export const evaluationHandlers = (evaluations: EvaluationService) =>
  ({
    'evaluations.list': (request) => evaluations.slice(request),
    'evaluations.items': ({ evaluation }) => evaluations.items(evaluation),
    'evaluations.start': (input, { signal }) => evaluations.start(input, signal),
    'evaluations.forecast': (input, { signal }) => evaluations.forecast(input, signal),
    'evaluations.compare': (input, { signal }) => evaluations.compare(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
