import { basename } from 'node:path';
import type { Comparison } from '../../../contract/evaluation/comparison.ts';
import type { Guard } from '../../../contract/evaluation/guards.ts';
import type { Run } from '../../../contract/entities.ts';
import { evaluationInput } from '../../../contract/inputs.ts';
import { StudioError } from '../../../contract/errors.ts';
import type {
  ProcedureHandlers,
  ProcedureOutput,
  ProcedureParsedInput,
} from '../../../contract/procedures.ts';
import type { Evaluation, EvaluationItem } from '../../../contract/results.ts';
import { compareSubjects, judgeBenchmarks } from '../../../evaluation/compare.ts';
import type { Graded } from '../../../evaluation/gradedTable.ts';
import {
  bestSentence,
  guardSentence,
  refusalSentence,
  refusedShares,
} from '../../../evaluation/guardWords.ts';
import { checkpointStep, listCheckpoints } from '../../../formats/checkpoint/checkpointFolder.ts';
import { leakWarning } from '../../../statistics/scores.ts';
import { readEvaluationItems } from '../../../store/results.ts';
import type { ServiceContext } from '../../context.ts';
import type { DatasetService } from '../../data/datasetService.ts';
import type { RunService } from '../../runs/runService.ts';
import type { EvaluationService } from '../evaluations.ts';
import { compareSubjectsApart } from '../verdicts/judgeThread.ts';
import { gradedOf, judgeSubjects, type JudgedSubject } from '../verdicts/judging.ts';
import { asPassages } from './guardText.ts';
import { findOverlap } from './overlap.ts';

type GuardsInput = ProcedureParsedInput<'guards.check'>;
type GuardSettings = GuardsInput['guards'][number];

/** What a training cost: the base model and a run by the same guards, paired item by item. */
export interface GuardService {
  check(input: GuardsInput, signal: AbortSignal): Promise<ProcedureOutput<'guards.check'>>;
  /** What `check` compares, which answers at once then. */
  score(input: GuardsInput, signal: AbortSignal): Promise<Evaluation[]>;
}

export function createGuardService(
  context: ServiceContext,
  datasets: DatasetService,
  runs: RunService,
  evaluations: Pick<EvaluationService, 'start'>,
): GuardService {
  const { database, paths } = context;

  const score =
    (run: Run, settings: GuardSettings, of: { adapter: string | null; step?: number }) =>
    (signal: AbortSignal) => {
      const { precision } = run.config;
      const input = evaluationInput.parse({ ...settings, ...of, model: run.modelId, precision });
      return evaluations.start(input, signal);
    };

  /** Kept checkpoints with their scores; the last of equals is no better than the first. */
  async function atCheckpoints(
    run: Run,
    settings: GuardSettings,
    own: { evaluation: Evaluation; step: number },
    signal: AbortSignal,
  ): Promise<Pick<Guard, 'checkpoints' | 'best'>> {
    const found: { step: number; evaluation: Evaluation }[] = [];
    for (const step of listCheckpoints(paths.runCheckpoints(run.id)).map(checkpointStep)) {
      const evaluation =
        step === own.step ? own.evaluation : await score(run, settings, { adapter: run.id, step })(signal);
      found.push({ step, evaluation });
    }
    const rank = ({ evaluation: { metric, score: value } }: (typeof found)[number]) =>
      metric === 'perplexity' ? -value : value;
    const best = found.reduce((a, b) => (rank(b) > rank(a) ? b : a));
    const isOwn = best.evaluation.id === own.evaluation.id;
    const versus = isOwn
      ? null
      : // Chosen among all of them by its score: that counts.
        await compareTwo(run, [own.evaluation, best.evaluation], found.length - 1);
    return {
      checkpoints: found.map((one) => ({ ...one, isBest: one === best })),
      best: bestSentence(isOwn ? { ...best, step: own.step } : best, own.step, versus),
    };
  }

  async function compareTwo(run: Run, pair: readonly Evaluation[], chosenOf: number): Promise<Comparison> {
    const graded: Graded[] = [];
    for (const [i, evaluation] of pair.entries())
      graded.push(await gradedOf(database, { evaluation, name: `${run.name} ${i}`, run }));
    const [first] = pair;
    const data = basename(first!.dataPath);
    const compared = await compareSubjectsApart(first!.benchmark, data, graded, { chosenOf });
    return compared[0]!;
  }

  /** The base model (`a`) and the run (`b`) by one guard. */
  async function scoreBoth(run: Run, settings: GuardSettings, signal: AbortSignal): Promise<JudgedSubject[]> {
    const before = await score(run, settings, { adapter: null })(signal);
    const after = await score(run, settings, { adapter: run.id })(signal);
    return [
      { evaluation: before, name: `${run.modelName} (base)`, run: null },
      { evaluation: after, name: run.name, run },
    ];
  }

  /** Guards as they are scored. @throws StudioError usage where one has no data */
  async function prepare(guards: readonly GuardSettings[]): Promise<GuardSettings[]> {
    for (const { benchmark, data } of guards)
      if (data === null)
        throw new StudioError(
          'usage',
          `The guard ${benchmark} needs data that both the base model and the run are scored on.`,
          'Choose a dataset, or give a file.',
        );
    const prepared: GuardSettings[] = [];
    for (const settings of guards)
      prepared.push(
        settings.benchmark === 'perplexity'
          ? { ...settings, data: await asPassages(context, datasets, settings.data!) }
          : settings,
      );
    return prepared;
  }

  async function scoreAll({ run: reference, guards, checkpoints }: GuardsInput, signal: AbortSignal) {
    const run = runs.get(reference);
    const own = checkpointStep(runs.requireCheckpoint(run));
    const kept = checkpoints ? listCheckpoints(paths.runCheckpoints(run.id)).map(checkpointStep) : [];
    const made: Evaluation[] = [];
    for (const settings of await prepare(guards)) {
      for (const { evaluation } of await scoreBoth(run, settings, signal)) made.push(evaluation);
      for (const step of kept)
        if (step !== own) made.push(await score(run, settings, { adapter: run.id, step })(signal));
    }
    return made;
  }

  async function check({ run: reference, guards, checkpoints }: GuardsInput, signal: AbortSignal) {
    const run = runs.get(reference);
    const own = checkpointStep(runs.requireCheckpoint(run));
    const prepared = await prepare(guards);
    const judged = [];
    for (const settings of prepared) {
      const subjects = await scoreBoth(run, settings, signal);
      const warnings = leakWarning(subjects[1]!.evaluation);
      judged.push({ subjects, ...(await judgeSubjects(context, subjects, { warnings })) });
    }
    // Who looks at five guards finds a change on one of them by chance in one of four cases.
    const together = judgeBenchmarks(judged);
    const found: Guard[] = [];
    for (const [i, { subjects, comparisons }] of together.entries()) {
      const [before, after] = subjects.map(({ evaluation }) => evaluation);
      const items = await readEvaluationItems(database, after!.id);
      found.push({
        before: before!,
        after: after!,
        comparison: comparisons[0]!,
        sentence: guardSentence(comparisons[0]!, before!, after!),
        refusal: after!.benchmark === 'refusal' ? await refusals(subjects) : null,
        overlap: await findOverlap(context, datasets, { run, evaluation: after!, items }, signal),
        ...(checkpoints
          ? await atCheckpoints(run, prepared[i]!, { evaluation: after!, step: own }, signal)
          : { checkpoints: [], best: null }),
      });
    }
    return { run: run.name, base: run.modelName, guards: found };
  }

  /** The unsafe and the safe prompts apart: a model that refuses everything is right on half of them. */
  async function refusals(subjects: readonly JudgedSubject[]): Promise<NonNullable<Guard['refusal']>> {
    const graded: Graded[] = [];
    for (const subject of subjects) graded.push(await gradedOf(database, subject));
    const { benchmark, dataPath } = subjects[0]!.evaluation;
    const halfOf = (half: 'unsafe' | 'safe') => {
      const isIn = ({ group }: EvaluationItem) => group?.startsWith(half) ?? false;
      const of = graded.map((one) => ({ ...one, items: one.items.filter(isIn) }));
      if (of[0]!.items.length === 0) return null;
      // Of both halves each is a test of its own.
      const comparison = compareSubjects(benchmark, `${basename(dataPath)}, ${half} prompts`, of, {
        chosenOf: 2,
      })[0]!;
      const [before, after] = refusedShares(half, comparison);
      return { before, after, comparison, sentence: refusalSentence(half, comparison) };
    };
    return { unsafe: halfOf('unsafe'), safe: halfOf('safe') };
  }

  return { check, score: scoreAll };
}

/** What callers ask of them. */
export const guardHandlers = (guards: GuardService) =>
  ({
    'guards.check': (input, { signal }) => guards.check(input, signal),
  }) satisfies Partial<ProcedureHandlers>;
