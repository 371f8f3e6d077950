import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { countParameters } from '../budget/count.ts';
import { solveRank } from '../budget/solve.ts';
import type { Run } from '../contract/entities.ts';
import type { Evaluation, ExportRecord } from '../contract/results.ts';
import { StudioError } from '../contract/errors.ts';
import { trainConfigSchema, type AdapterConfig, type TrainConfigInput } from '../contract/training.ts';
import type { Core } from '../core/createCore.ts';
import { certificateVerdict } from '../options/exits.ts';
import { readDecoderConfig } from '../formats/families/huggingFaceConfig.ts';
import { writeGeneratedDataset, writeGeneratedModel } from '../services/projects/generatedModel.ts';
import { parseCommand, text } from './arguments.ts';
import { homeOf, withCore, type CommandContext } from './commandContext.ts';
import { formatCount, formatScore, formatTable, type Output } from './output.ts';
import { createWatcher } from './trainCommand.ts';

/** What the demo trains on. */
interface Material {
  model: string;
  trainFile: string;
  testFile: string;
  /** What the base model is, for the closing words. */
  about: string;
  settings: Omit<TrainConfigInput, 'adapter'>;
  loraRank: number;
}

/**
 * demo: imports a model and data, trains LoRA and ID-LoRA at about the same size, evaluates, compares and exports both.
 */
export async function demoCommand(args: readonly string[], command: CommandContext): Promise<void> {
  const { values } = parseCommand(args, {});
  const home = resolve(text(values, 'home') ?? join(homeOf(values), 'demo'));
  await withCore({ ...values, home }, 'write', async (core, output) => {
    const startedAt = Date.now();
    output.progress(`The demo's data folder is ${home}.`);
    const material = sharedMaterial() ?? generatedMaterial(home);
    const model = await core.models.getOrAdd(material.model);
    const dataset = await core.datasets.getOrAdd(material.trainFile);
    output.progress(
      `Model ${model.name} (${formatCount(model.parameters)} parameters), data ${dataset.name} (${formatCount(dataset.rows)} rows).`,
    );
    const runs: Run[] = [];
    for (const adapter of equalBudget(model.folder, material.loraRank))
      runs.push(await trained(core, model.id, dataset.id, adapter, material, output));

    const evaluations = await evaluate(core, model.id, runs, material, command, output);
    const names = runs.map(({ name }) => name);
    const common = { runs: names, shots: 0, maxTokens: 160, seed: 0 };
    const onHeldOut = await core.evaluations.compare(
      { ...common, benchmark: 'perplexity', data: null, limit: null },
      command.signal,
    );
    const onTest = await core.evaluations.compare(
      { ...common, benchmark: 'gsm8k', data: { path: material.testFile }, limit: testItems },
      command.signal,
    );
    output.progress('Exporting both adapters and checking the files ...');
    const exported: ExportRecord[] = [];
    for (const run of runs)
      exported.push(
        await core.exports.create({ run: run.id, folder: join(home, 'exports', run.name) }, command.signal),
      );
    const comparisons = [...onHeldOut.comparisons, ...onTest.comparisons];
    output.result({ runs, evaluations, comparisons, exports: exported }, () =>
      [
        '',
        resultTable(core, runs, evaluations),
        '',
        ...comparisons.map(({ sentence }) => sentence),
        '',
        ...exported.map(
          ({ folder, certificate }) =>
            `${folder}: ${certificateVerdict(certificate).long} (greatest logit difference ${certificate.maxLogitDifference.toExponential(1)}).`,
        ),
        `${material.about} One seed, ${((Date.now() - startedAt) / 1000).toFixed(0)} s.`,
      ].join('\n'),
    );
    if (exported.some(({ certificate }) => !certificateVerdict(certificate).isGood)) process.exitCode = 1;
  });
}

const testItems = 48;

/** stories260K and GSM8K, where the shared test data are beside the checkout. */
function sharedMaterial(): Material | null {
  const shared = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
  const model = join(shared, 'stories260K-hf');
  if (!existsSync(model)) return null;
  return {
    model,
    trainFile: join(shared, 'gsm8k', 'train.jsonl'),
    testFile: join(shared, 'gsm8k', 'test.jsonl'),
    about:
      "The base model knows children's stories only and has 260,032 parameters: it learns the form of GSM8K (the loss falls), not arithmetic, so accuracy near 0 is expected.",
    settings: { learningRate: 5e-3, maxSteps: 150, batch: 8, context: 384, heldOutFraction: 0.01 },
    loraRank: 3,
  };
}

function generatedMaterial(home: string): Material {
  const folder = join(home, 'generated');
  mkdirSync(folder, { recursive: true });
  const [trainFile, testFile] = [join(folder, 'train.jsonl'), join(folder, 'test.jsonl')];
  if (!existsSync(testFile)) {
    writeGeneratedModel(join(folder, 'random-llama'));
    writeGeneratedDataset(trainFile, 1000, 1);
    writeGeneratedDataset(testFile, 100, 2);
  }
  return {
    model: join(folder, 'random-llama'),
    trainFile,
    testFile,
    about:
      'The base model has random weights and the task is sums of digits: a check that everything works, not a result about methods.',
    settings: { learningRate: 5e-3, maxSteps: 150, batch: 16, context: 64, heldOutFraction: 0.05 },
    loraRank: 3,
  };
}

/** LoRA, and the ID-LoRA with the greatest rank that needs no more parameters. */
function equalBudget(folder: string, rank: number): AdapterConfig[] {
  const shape = readDecoderConfig(folder);
  const defaults = trainConfigSchema.parse({ adapter: { method: 'lora', rank, alpha: 2 * rank } }).adapter;
  const budget = countParameters(shape, defaults).trainable;
  const found = solveRank(shape, { ...defaults, method: 'idlora' }, budget);
  if (!found.solution)
    throw new StudioError(
      'config_invalid',
      `ID-LoRA needs at least ${found.least} parameters, LoRA of rank ${rank} has ${budget}.`,
      'Raise the rank of LoRA.',
    );
  const idRank = found.solution.rank;
  return [defaults, { ...defaults, method: 'idlora', rank: idRank, alpha: 2 * idRank }];
}

/** The demo's run of a method; a finished run is used again. */
async function trained(
  core: Core,
  model: string,
  dataset: string,
  adapter: AdapterConfig,
  material: Material,
  output: Output,
): Promise<Run> {
  const config = trainConfigSchema.parse({ ...material.settings, adapter });
  const name = `demo-${adapter.method}-r${adapter.rank}`;
  const existing = core.runs.list().find((run) => run.name === name);
  const isOfThese = existing?.modelId === model && existing.datasetId === dataset;
  if (existing?.state === 'done' && isOfThese && isDeepStrictEqual(existing.config, config)) {
    output.progress(`${name} is trained already.`);
    return existing;
  }
  if (existing) core.runs.remove(existing.id);
  output.progress(`Training ${name} ...`);
  // Step lines would mix with the demo's one JSON document.
  const { ended } = await core.runs.start(
    { name, model, dataset, config },
    createWatcher({ ...output, json: false }),
  );
  const run = await ended;
  if (run.error) throw StudioError.fromPlain(run.error);
  return run;
}

/** Base and both adapters on the test file: perplexity of the answers, exact match. */
async function evaluate(
  core: Core,
  model: string,
  runs: readonly Run[],
  material: Material,
  command: CommandContext,
  output: Output,
): Promise<Evaluation[]> {
  const done: Evaluation[] = [];
  for (const adapter of [null, ...runs.map(({ name }) => name)])
    for (const benchmark of ['perplexity', 'gsm8k'] as const) {
      output.progress(`Evaluating ${adapter ?? 'the base model'} on ${benchmark} ...`);
      done.push(
        await core.evaluations.start(
          {
            model,
            adapter,
            benchmark,
            data: { path: material.testFile },
            limit: testItems,
            shots: 0,
            maxTokens: 160,
            seed: 0,
            precision: 'f32',
          },
          command.signal,
        ),
      );
    }
  return done;
}

function resultTable(core: Core, runs: readonly Run[], evaluations: readonly Evaluation[]): string {
  const score = (subject: string, benchmark: string) => {
    const found = evaluations.find((e) => e.subject === subject && e.benchmark === benchmark);
    return found ? formatScore(found.metric, found.score, found.interval) : '–';
  };
  const loss = (run: Run) => {
    const { steps } = core.runs.curves(run.id);
    return `${steps[0]?.loss.toFixed(3) ?? '–'} to ${steps.at(-1)?.loss.toFixed(3) ?? '–'}`;
  };
  const n = evaluations[0]?.n ?? 0;
  return formatTable(
    [
      'subject',
      'trainable',
      'training loss (nats)',
      `test perplexity (95 %), n = ${n}`,
      `GSM8K exact match (95 %), n = ${n}`,
    ],
    [
      ['base', '0', '–', score('base', 'perplexity'), score('base', 'gsm8k')],
      ...runs.map((run) => [
        run.name,
        formatCount(run.trainable ?? 0),
        loss(run),
        score(run.name, 'perplexity'),
        score(run.name, 'gsm8k'),
      ]),
    ],
  );
}
