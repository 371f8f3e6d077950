import { forecastStudy, type StudyForecast } from '../budget/studies/forecast.ts';
import { paperStudies } from '../budget/studies/paperStudies.ts';
import type { Run } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { studyName } from '../contract/inputs.ts';
import {
  paperStudyIdSchema,
  studyQuestionSchema,
  type Study,
  type StudyQuestion,
} from '../contract/studies.ts';
import { datasetRecipe } from '../contract/mixing/mixes.ts';
import { distinctPasses, passKey } from '../options/lengths.ts';
import { flatten } from '../options/trainingOptions.ts';
import type { Core } from '../core/createCore.ts';
import type { StartedRun } from '../services/runs/runService.ts';
import type { PlannedStudy, StudyRequest } from '../services/plan/studies.ts';
import { readDecoderConfig } from '../formats/families/huggingFaceConfig.ts';
import {
  check,
  list,
  nameOf,
  none,
  parseCommand,
  requiredText,
  text,
  usageError,
  type Values,
} from './arguments.ts';
import { countedTrainable, readBudget } from './budget/budgetSize.ts';
import { checkScores, queueScores, scoreOptions, scoreSettings } from './evaluation/studyScores.ts';
import { withCore, type CommandContext } from './commandContext.ts';
import { formatTable, type Output } from './output.ts';
import { outcomeText, planText, studyText } from './studyText.ts';
import { createWatcher } from './trainCommand.ts';
import { givenOptions, noteIdleOptions, trainConfigFrom, trainOptions } from './trainingArguments.ts';

const actions = ['list', 'show', 'papers', 'plan', 'start', 'resume', 'remove'] as const;

/**
 * study plan|start --name N --model M --data D --methods lora,idlora --budget 4000000|50M|0.5%|8MB|'like RUN'
 * --seeds 0,1 [options of train]; study plan|start --name N --model M --data MIX1,MIX2 --max-steps S --seeds 0,1
 * [options of train]; study plan|start --name N --model M --data D --paper table7 --seeds 0; study list|papers; study
 * show|resume|remove NAME. start takes --score BENCHMARK,... with options of eval: scores that wait for the runs.
 */
export async function studyCommand(
  [action, ...args]: readonly string[],
  command: CommandContext,
): Promise<void> {
  if (!actions.some((known) => known === action))
    throw usageError(`study: unknown action "${action ?? ''}"; there are ${actions.join(', ')}.`);
  const { values, positionals } = parseCommand(args, {
    ...trainOptions,
    ...scoreOptions,
    force: { type: 'boolean' },
    ...Object.fromEntries(
      ['name', 'model', 'data', 'methods', 'budget', 'budget-percent', 'budget-dtype', 'seeds', 'paper'].map(
        (name) => [name, { type: 'string' } as const],
      ),
    ),
  });
  if (action !== 'start' && Object.keys(scoreOptions).some((name) => values[name] !== undefined))
    throw usageError(`study ${action} scores nothing: --score and what belongs to it go with study start.`);
  const mode = action === 'list' || action === 'show' || action === 'papers' ? 'read' : 'write';
  await withCore(values, mode, async (core, output) => {
    const { studies } = core;
    const named = () => {
      const [name, ...rest] = positionals;
      if (name === undefined || rest.length > 0) throw usageError(`Write: study ${action} NAME`);
      return name;
    };
    switch (action as (typeof actions)[number]) {
      case 'list': {
        none(positionals);
        const all = studies.list();
        output.result(all, () => listText(all));
        return;
      }
      case 'papers':
        none(positionals);
        output.result(paperStudies, () =>
          formatTable(
            ['study', 'what', 'model', 'data', 'scored with'],
            paperStudies.map((study) => [
              ...[study.id, study.purpose, study.model.label, study.data.label, study.scoredWith],
            ]),
          ),
        );
        return;
      case 'show': {
        const study = studies.get(named());
        const outcome = studies.outcome(study.id);
        const runs = runsOf(core, study);
        output.result({ ...study, outcome }, () =>
          [studyText(study, runs), outcomeText(study, outcome)].join('\n\n'),
        );
        return;
      }
      case 'plan': {
        none(positionals);
        const request = requestFrom(core, values);
        noteIdle(output, request, values);
        const planned = await studies.plan(request);
        const forecast = await forecastOf(core, planned, command.signal);
        output.result(planDocument(request, planned, forecast), () => planText(planned, forecast));
        return;
      }
      case 'start': {
        none(positionals);
        const scores = scoreSettings(values);
        const request = requestFrom(core, values);
        noteIdle(output, request, values);
        const planned = await studies.plan(request);
        await checkScores(core, planned.model.id, scores, planned.plan.runs.length);
        const forecast = await forecastOf(core, planned, command.signal);
        output.progress(planText(planned, forecast));
        await follow(core, output, command, async (watch) => {
          const begun = await studies.start({ ...request, force: values['force'] === true }, watch);
          const runs = begun.started.map(({ run }) => run);
          await queueScores(core, output, runs, scores);
          return begun;
        });
        return;
      }
      case 'resume': {
        const name = named();
        await follow(core, output, command, (watch) =>
          studies.resume(name, watch, { force: values['force'] === true }),
        );
        return;
      }
      case 'remove': {
        const name = named();
        studies.remove(name);
        output.result({ removed: name }, () => `Removed the study "${name}". Its runs stay.`);
        return;
      }
    }
  });
}

type Watch = (run: Run) => ReturnType<typeof createWatcher>;

/** Trains the runs of a study one after another, and says how they ended. */
async function follow(
  core: Core,
  output: Output,
  command: CommandContext,
  begin: (watch: Watch) => Promise<{ study: Study; started: StartedRun[] }>,
): Promise<void> {
  const { study, started } = await begin((run) => createWatcher(output, run.name));
  if (output.json)
    output.line({ event: 'study', study: study.name, runs: started.map(({ run }) => run.name) });
  let isInterrupted = false;
  command.onInterrupt(() => {
    isInterrupted = true;
    output.progress(`Stopping after this step, with a checkpoint. Go on with: study resume ${study.name}`);
    void core.runs.suspend();
  });
  for (const [i, { run, ended }] of started.entries()) {
    if (isInterrupted) break;
    output.progress(`Run ${i + 1} of ${started.length}: ${run.name}`);
    const final = await ended;
    const { name, state, step, lastLoss, lastHeldOutLoss, error } = final;
    if (output.json) output.line({ event: 'run', run: name, state, step, lastLoss, lastHeldOutLoss, error });
    else
      output.progress(
        `Run "${name}" ${state} at step ${step}${error ? `: ${error.message}` : ''}, held-out loss ${lastHeldOutLoss?.toFixed(4) ?? '–'}`,
      );
  }
  const outcome = core.studies.outcome(study.id);
  const runs = runsOf(core, study);
  if (output.json) output.line({ event: 'done', study: study.name, outcome });
  else output.result(null, () => [studyText(study, runs), outcomeText(study, outcome)].join('\n\n'));
  const failed = runs.filter((run) => run?.state === 'failed');
  if (failed.length > 0)
    throw new StudioError(
      'runs_failed',
      `${failed.length} of ${study.runs.length} runs failed: ${failed.map((run) => run!.name).join(', ')}.`,
      `See why with: runs show "${failed[0]!.name}". Go on with: study resume "${study.name}"`,
    );
}

/** The runs of a study, in its order; undefined where one was removed. */
function runsOf(core: Core, study: Study): (Run | undefined)[] {
  const all = new Map(core.runs.list().map((run) => [run.id, run]));
  return study.runs.map(({ runId }) => all.get(runId));
}

async function forecastOf(
  { forecasts, mixes }: Core,
  { model, sources, plan }: PlannedStudy,
  signal: AbortSignal,
): Promise<StudyForecast> {
  const counted = [];
  const [{ config }] = plan.arms as [(typeof plan.arms)[number]];
  for (const { id } of sources) counted.push(await forecasts.lengths(model.id, id, signal, config));
  const lengths = counted.reduce((most, next) => (next.longest > most.longest ? next : most));
  const longest = sources[counted.indexOf(lengths)]!;
  const recipe = longest.mix?.recipe;
  const pass = recipe && (await mixes.count({ recipe, model: model.id, options: config }, signal));
  const steps: Record<string, { steps: number }> = {};
  for (const run of distinctPasses(plan.runs.map((one) => one.config))) {
    if (run.maxSteps !== null || !(recipe || run.packing)) continue;
    const asked = { recipe: recipe ?? datasetRecipe({ id: longest.id, split: 'train' }), model: model.id };
    steps[passKey(run)] = { steps: await mixes.steps({ ...asked, options: run }, signal) };
  }
  const place = {
    modelId: model.id,
    shape: readDecoderConfig(model.folder),
    contextLength: model.contextLength,
    rows: pass ? pass.rows + pass.heldOutRows : lengths.rows,
    heldOutRows: pass?.heldOutRows,
    lengths,
    counted: steps,
  };
  return forecastStudy(plan, place, await forecasts.calibration());
}

function planDocument(
  { name, question }: StudyRequest,
  { plan, notes }: PlannedStudy,
  { arms, ...total }: StudyForecast,
): unknown {
  return {
    name,
    question,
    notes,
    impossible: plan.impossible,
    arms: plan.arms.map((arm, i) => ({
      ...arm,
      steps: arms[i]!.steps,
      leastSteps: arms[i]!.leastSteps,
      peakMemoryBytes: arms[i]!.forecast.memory.correctedBytes,
      seconds: arms[i]!.steps === null ? null : arms[i]!.forecast.time.seconds,
      fit: arms[i]!.fit,
    })),
    runs: plan.runs.map(({ name: run, arm, seed }) => ({ name: run, arm, seed })),
    total,
  };
}

/** @throws StudioError usage */
function requestFrom({ runs, datasets, mixes }: Core, values: Values): StudyRequest {
  const paper = text(values, 'paper');
  const seeds = (list(values, 'seeds') ?? ['0']).map((seed) => {
    if (!/^\d{1,10}$/.test(seed)) throw usageError(`--seeds "${seed}" is no whole number from 0.`);
    return Number(seed);
  });
  const optionOf = (path: string) =>
    path === 'config.maxSteps'
      ? '--max-steps'
      : ({
          methods: '--methods',
          seeds: '--seeds',
          budget: '--budget',
          study: '--paper',
          data: '--data',
        }[path.split('.')[0]!] ?? path);
  const question = (wanted: unknown): StudyQuestion => check(studyQuestionSchema, wanted, optionOf);
  const place = { model: requiredText(values, 'model'), dataset: requiredText(values, 'data') };
  if (paper !== undefined) {
    const other = ['methods', 'budget'].find((name) => values[name] !== undefined);
    if (other)
      throw usageError(`--${other} and --paper cannot go together: the paper's table says what is trained.`);
    const study = paperStudyIdSchema.safeParse(paper).data;
    if (!study)
      throw usageError(
        `--paper "${paper}" is none of the paper's studies.`,
        `There are ${paperStudies.map(({ id }) => id).join(', ')}; see: study papers`,
      );
    return {
      name: nameOf(values, { schema: studyName }) ?? study,
      ...place,
      question: question({ kind: 'paper', study, seeds }),
    };
  }
  const methods = list(values, 'methods');
  const known = [...datasets.list(), ...mixes.list()].map(({ name }) => name);
  // A name may hold a comma itself.
  const data = known.includes(place.dataset) ? [place.dataset] : (list(values, 'data') ?? []);
  if (data.length > 1) {
    const other = ['methods', 'budget'].find((name) => values[name] !== undefined);
    if (other)
      throw usageError(
        `--${other} and several --data cannot go together: a study compares methods, or data.`,
        'Give --method with its rank for all data, or one dataset or mix.',
      );
    const { seed: _, ...given } = givenOptions(values);
    return {
      name: check(studyName, requiredText(values, 'name'), () => '--name'),
      ...place,
      dataset: data[0]!,
      question: question({
        kind: 'data',
        data,
        seeds,
        config: trainConfigFrom({ method: 'lora', ...given }),
      }),
    };
  }
  if (!methods) throw usageError('--methods is missing, or --paper.', 'For example: --methods lora,idlora');
  const { seed: _, ...given } = givenOptions(values);
  return {
    name: check(studyName, requiredText(values, 'name'), () => '--name'),
    ...place,
    question: question({
      kind: 'equal_budget',
      methods,
      seeds,
      budget: readBudget(values, 'budget', (run) => countedTrainable(runs.get(run))),
      config: trainConfigFrom({ ...given, method: 'lora' }),
    }),
  };
}

/** Options of train that none of the study's methods heeds; a study of the paper heeds none at all. */
function noteIdle(output: Output, { question }: StudyRequest, values: Values): void {
  const configs =
    question.kind === 'paper'
      ? []
      : question.kind === 'data'
        ? [flatten(question.config)]
        : question.methods.map((method) => ({ ...flatten(question.config), method }));
  noteIdleOptions(output, givenOptions(values), configs);
}

function listText(all: readonly Study[]): string {
  if (all.length === 0) return 'No studies yet. Plan one with: study plan';
  return formatTable(
    ['name', 'settings', 'seeds', 'runs', 'model', 'data', 'made'],
    all.map((study) => [
      study.name,
      study.arms.map(({ label }) => label).join(', '),
      study.question.seeds.join(', '),
      String(study.runs.length),
      study.modelName,
      study.datasetName,
      study.createdAt.slice(0, 16).replace('T', ' '),
    ]),
  );
}
