import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { countParameters } from '../budget/count.ts';
import { solveRank } from '../budget/solve.ts';
import type { Model, Run } from '../contract/entities.ts';
import type { ComparisonOutcome } from '../contract/evaluation/comparison.ts';
import type { Mix } from '../contract/mixing/mixes.ts';
import type { Evaluation, ExportRecord } from '../contract/results.ts';
import { StudioError } from '../contract/errors.ts';
import {
  methods,
  trainConfigSchema,
  type AdapterConfig,
  type Method,
  type TrainConfigInput,
} from '../contract/training.ts';
import type { Core } from '../core/createCore.ts';
import { judgeBenchmarks } from '../evaluation/compare.ts';
import { writeFileAtomic } from '../formats/files/atomicFile.ts';
import { certificateVerdict } from '../options/exits.ts';
import { readDecoderConfig } from '../formats/families/huggingFaceConfig.ts';
import { freeName } from '../services/context.ts';
import { writeReport } from '../services/evaluations/verdicts/report.ts';
import {
  addStarterTasks,
  starterScoring,
  starterSettings,
  starterTasks,
  type StarterTask,
} from '../services/projects/starter.ts';
import { list, number, parseOptions, text, usageError } from './arguments.ts';
import { homeOf, withCore, type CommandContext } from './commandContext.ts';
import { formatCount, formatScore, formatTable, type Output } from './output.ts';
import { createWatcher } from './trainCommand.ts';

/** What every run of the demo shares. */
type Settings = Omit<TrainConfigInput, 'adapter'>;

/** A model of one's own is larger, and knows more to begin with. */
const otherSettings: Settings = { learningRate: 5e-4, batch: 8, context: 256, maxSteps: 100 };
/** On the starter model as many parameters as ID-LoRA of its greatest rank has: 122,880. */
const loraRank = 6;
const usualItems = 60;

/**
 * demo [--model M --methods lora,idlora|all --max-steps N --limit N --allow-code-execution]: mixes the tasks of the
 * starter lab, trains methods at one budget, scores every task, says who is better, exports with a certificate, and
 * writes a report.
 */
export async function demoCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const values = parseOptions(args, {
    model: { type: 'string' },
    methods: { type: 'string' },
    'max-steps': { type: 'string' },
    limit: { type: 'string' },
    'allow-code-execution': { type: 'boolean' },
  });
  const asked = methodsOf(list(values, 'methods'));
  const given = text(values, 'model');
  const maxSteps = number(values, 'max-steps');
  const home = resolve(text(values, 'home') ?? join(homeOf(values), 'demo'));
  await withCore({ ...values, home }, 'write', async (core, output) => {
    const startedAt = Date.now();
    output.progress(`The demo's data folder is ${home}.`);
    if (values['allow-code-execution'] === true) core.grading.allowForNow();
    const tasks = await tasksToScore(core, output);
    const { model, mix } = await material(core, given);
    output.progress(
      `Model ${model.name} (${formatCount(model.parameters)} parameters); ${starterTasks.length} tasks, as many rows of each.`,
    );
    const settings = {
      ...(given === undefined ? starterSettings : otherSettings),
      ...(maxSteps !== undefined && { maxSteps }),
    };
    const runs: Run[] = [];
    for (const adapter of equalBudget(model.folder, asked, output))
      runs.push(await trained(core, { model, mix, settings, adapter }, output));

    const limit = number(values, 'limit') ?? usualItems;
    const scores = await evaluate(core, { model, runs, tasks, limit }, command, output);
    const outcomes: ComparisonOutcome[] = [];
    if (runs.length > 1)
      for (const task of tasks)
        outcomes.push(
          await core.evaluations.compare(
            { ...starterScoring(task, limit), runs: runs.map(({ name }) => name) },
            command.signal,
          ),
        );
    const judged = judgeBenchmarks(outcomes);
    output.progress('Exporting the adapters and checking the files ...');
    const exported: ExportRecord[] = [];
    for (const run of runs)
      exported.push(
        await core.exports.create({ run: run.id, folder: join(home, 'exports', run.name) }, command.signal),
      );
    const report = join(home, 'report.html');
    const subjects = runs.map(({ name }) => name);
    writeFileAtomic(report, writeReport(await core.reports.make({ subjects, against: null }), 'html'));
    const comparisons = judged.flatMap((outcome) => outcome.comparisons);
    const seconds = Math.round((Date.now() - startedAt) / 1000);
    output.result({ runs, evaluations: scores, comparisons, exports: exported, report, seconds }, () =>
      [
        '',
        resultTable(core, { runs, scores, tasks }),
        '',
        ...comparisons.map(({ benchmark, sentence }) => `${labelOf(benchmark)}: ${sentence}`),
        '',
        ...exported.map(
          ({ folder, certificate }) =>
            `${folder}: ${certificateVerdict(certificate).long} (greatest logit difference ${certificate.maxLogitDifference.toExponential(1)}).`,
        ),
        '',
        `One seed, ${limit} items a task, ${seconds} s: what a second training would say is not known. Report: ${report}`,
      ].join('\n'),
    );
    if (exported.some(({ certificate }) => !certificateVerdict(certificate).isGood)) process.exitCode = 1;
  });
}

const adapterMethods = methods.filter((method) => method !== 'full');

/** @throws StudioError usage */
function methodsOf(names: readonly string[] | undefined): Method[] {
  if (names === undefined) return ['lora', 'idlora'];
  if (names.length === 1 && names[0] === 'all') return adapterMethods;
  return names.map((name) => {
    const method = adapterMethods.find((known) => known === name);
    if (method) return method;
    throw usageError(`--methods ${name}: there are ${adapterMethods.join(', ')} and all.`);
  });
}

/** All tasks, without those that run programs where nobody agreed to that or no sandbox is there: it says which. */
async function tasksToScore(core: Core, output: Output): Promise<StarterTask[]> {
  const tasks: StarterTask[] = [];
  for (const task of starterTasks)
    try {
      await core.evaluations.checkBenchmarks([task.benchmark]);
      tasks.push(task);
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      output.progress(`${task.label} are trained and not scored. ${error.message} ${error.remedy}`);
    }
  return tasks;
}

/** The starter model, or one that was named, and the mix of the tasks. */
async function material(core: Core, given: string | undefined): Promise<{ model: Model; mix: Mix }> {
  if (given === undefined) return core.addStarter();
  return { model: await core.models.getOrAdd(given), mix: (await addStarterTasks(core)).mix };
}

const labelOf = (benchmark: string) =>
  starterTasks.find((task) => task.benchmark === benchmark)?.label ?? benchmark;

/** LoRA, and every other method at the greatest rank that needs no more parameters. */
function equalBudget(folder: string, asked: readonly Method[], output: Output): AdapterConfig[] {
  const shape = readDecoderConfig(folder);
  const lora = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: loraRank, alpha: 2 * loraRank },
  }).adapter;
  const budget = countParameters(shape, lora).trainable;
  return asked.flatMap((method) => {
    if (method === 'lora') return [lora];
    const found = solveRank(shape, { ...lora, method }, budget);
    if (found.solution)
      return [{ ...lora, method, rank: found.solution.rank, alpha: 2 * found.solution.rank }];
    output.progress(
      `${method} is left out: it needs at least ${formatCount(found.least)} parameters, LoRA of rank ${loraRank} has ${formatCount(budget)}.`,
    );
    return [];
  });
}

/** The demo's run of a method; a finished run is used again. */
async function trained(
  core: Core,
  { model, mix, settings, adapter }: { model: Model; mix: Mix; settings: Settings; adapter: AdapterConfig },
  output: Output,
): Promise<Run> {
  const config = trainConfigSchema.parse({ ...settings, adapter });
  const wish = `demo-${adapter.method}-r${adapter.rank}`;
  const known = core.runs.list();
  const existing = known.find(
    (run) =>
      run.state === 'done' &&
      run.name.startsWith(wish) &&
      run.modelId === model.id &&
      run.datasetId === mix.id &&
      isDeepStrictEqual(run.config, config),
  );
  if (existing) {
    output.progress(`${existing.name} is trained already.`);
    return existing;
  }
  // What an earlier demo left unfinished, or somebody called so, stays.
  const name = freeName(wish, (taken) => known.some((run) => run.name === taken));
  output.progress(`Training ${name} ...`);
  // Step lines would mix with the demo's one JSON document.
  const { ended } = await core.runs.start(
    { name, model: model.id, dataset: mix.id, config },
    createWatcher({ ...output, json: false }),
  );
  const run = await ended;
  if (run.error) throw StudioError.fromPlain(run.error);
  return run;
}

/** The base and every run on every task. */
async function evaluate(
  core: Core,
  {
    model,
    runs,
    tasks,
    limit,
  }: { model: Model; runs: readonly Run[]; tasks: readonly StarterTask[]; limit: number },
  command: CommandContext,
  output: Output,
): Promise<Evaluation[]> {
  const done: Evaluation[] = [];
  for (const adapter of [null, ...runs.map(({ name }) => name)])
    for (const task of tasks) {
      output.progress(`${adapter ?? 'The base model'}: ${task.label} ...`);
      const asked = { ...starterScoring(task, limit), model: model.id, adapter, precision: 'f32' as const };
      done.push(await core.evaluations.start(asked, command.signal));
    }
  return done;
}

function resultTable(
  core: Core,
  {
    runs,
    scores,
    tasks,
  }: { runs: readonly Run[]; scores: readonly Evaluation[]; tasks: readonly StarterTask[] },
): string {
  const cells = (subject: string) =>
    tasks.map(({ benchmark }) => {
      const found = scores.find((one) => one.subject === subject && one.benchmark === benchmark);
      return found ? formatScore(found.metric, found.score, found.interval) : '–';
    });
  const loss = (run: Run) => {
    const { steps } = core.runs.curves(run.id);
    return `${steps[0]?.loss.toFixed(2) ?? '–'} to ${steps.at(-1)?.loss.toFixed(2) ?? '–'}`;
  };
  return formatTable(
    ['subject', 'trainable', 'loss (nats)', ...tasks.map(({ label }) => `${label} (95 %)`)],
    [
      ['base', '0', '–', ...cells('base')],
      ...runs.map((run) => [run.name, formatCount(run.trainable ?? 0), loss(run), ...cells(run.name)]),
    ],
  );
}
