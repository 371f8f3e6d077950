import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual, parseArgs, type ParseArgsConfig } from 'node:util';
import { StudioError } from '../contract/errors.ts';
import type { Run } from '../contract/entities.ts';
import { trainConfigSchema, type TrainConfig } from '../contract/training.ts';
import { createCore, type Core } from '../core/createCore.ts';
import { writeFileAtomic } from '../formats/files/atomicFile.ts';
import { starterScoring, starterTasks } from '../services/projects/starter.ts';
import { shape, writeFreshModel } from './freshModel.ts';
import { generalTexts, taskNames, taskRows } from './texts.ts';

/**
 * `npm run starter:train`: writes the texts and tasks of the starter lab, pretrains its model on the texts with the
 * studio's own engine (full training of random weights), and puts model, tasks and a record of how they came about
 * into resources/starter.
 */
const { values } = readOptions({
  options: {
    /** Where texts, random weights and the run's data folder are kept while it works. */
    work: { type: 'string', default: 'starter-work' },
    out: { type: 'string', default: fileURLToPath(new URL('../../resources/starter', import.meta.url)) },
    documents: { type: 'string', default: '60000' },
    steps: { type: 'string', default: '1300' },
    seed: { type: 'string', default: '1' },
    /** `tasks`: writes them alone; `scores`: asks the model that is there once more, too. */
    only: { type: 'string' },
  },
});
const [seed, documents, maxSteps] = [values.seed, values.documents, values.steps].map(Number) as [
  number,
  number,
  number,
];
const [out, work] = [resolve(values.out), resolve(values.work)];
if (![seed, documents, maxSteps].every((value) => Number.isInteger(value) && value >= 0))
  wrongUsage(
    `--seed, --documents and --steps take whole numbers: ${values.seed}, ${values.documents}, ${values.steps} are given.`,
  );
const { signal } = new AbortController();
const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

const card = `---
library_name: transformers
license: apache-2.0
---

# Starter model of ID-LoRA Studio

A Llama of 3.2 million parameters in bf16, made by the studio itself (\`npm run starter:train\`): random weights, trained
in full on texts that a script writes. It knows sums up to forty, twenty animals that do not exist, some Python and
where things are put; it has never seen a question. What it is for is to be taught. ../record.json says how it was
trained, docs/starter.md what it can learn.
`;

for (const name of taskNames) {
  const folder = join(out, 'tasks', name);
  mkdirSync(folder, { recursive: true });
  for (const [part, rows] of Object.entries(taskRows(name, seed)) as [string, object[]][])
    writeFileAtomic(join(folder, `${part}.jsonl`), lines(rows));
}
if (values.only !== 'tasks') await makeModel();

function readOptions<const T extends ParseArgsConfig>(config: T) {
  try {
    return parseArgs(config);
  } catch (error) {
    return wrongUsage(error instanceof Error ? error.message : String(error));
  }
}

function wrongUsage(message: string): never {
  process.stderr.write(`${message}\nSee \`npm run starter:train -- --help\`.\n`);
  process.exit(2);
}

async function makeModel(): Promise<void> {
  mkdirSync(work, { recursive: true });
  const core = createCore({ home: join(work, 'home'), project: 'default', mode: 'write' });
  const folder = join(out, 'model');
  const recordFile = join(out, 'record.json');
  try {
    const made =
      values.only === 'scores'
        ? (JSON.parse(readFileSync(recordFile, 'utf8')) as object)
        : await pretrain(core, folder);
    const record = { ...made, evaluation: await evaluate(core, folder) };
    writeFileAtomic(recordFile, `${JSON.stringify(record, null, 1)}\n`);
  } finally {
    core.close();
  }
}

async function pretrain(core: Core, folder: string): Promise<object> {
  const fresh = join(work, 'fresh');
  rmSync(fresh, { recursive: true, force: true });
  writeFreshModel(fresh, seed);
  const texts = join(work, 'texts.jsonl');
  writeFileAtomic(texts, lines(generalTexts(seed, documents).map((text) => ({ text }))));
  const model = await core.models.getOrAdd(fresh);
  const dataset =
    core.datasets.list().find(({ sourcePath }) => sourcePath === texts) ??
    (await core.datasets.add({ path: texts }));
  const config = trainConfigSchema.parse({
    // Of a rank full training knows nothing.
    adapter: { method: 'full', rank: 1, alpha: 1 },
    learningRate: 3e-3,
    schedule: 'cosine_with_min_lr',
    minLearningRateRatio: 0.05,
    warmupSteps: 50,
    beta2: 0.98,
    weightDecay: 0.01,
    maxSteps,
    batch: 8,
    context: shape.context,
    packing: true,
    heldOutFraction: 0.004,
    heldOutRows: 128,
    evalEvery: 100,
    checkpointEvery: 0,
    precision: 'bf16',
    seed,
  });
  const made = core.runs
    .list()
    .find(
      (one) => one.state === 'done' && one.datasetId === dataset.id && isDeepStrictEqual(one.config, config),
    );
  const run = made ?? (await trained(core, { model: model.id, dataset: dataset.id, config }));
  rmSync(folder, { recursive: true, force: true });
  const { certificate } = await core.exports.create({ run: run.id, format: 'merged', folder }, signal);
  rmSync(join(folder, 'data_contract.json'));
  writeFileAtomic(join(folder, 'README.md'), card);
  const { evals, steps } = core.runs.curves(run.id);
  const weights = readFileSync(join(folder, 'model.safetensors'));
  const round = (value: number) => Number(value.toPrecision(5));
  return {
    weightsSha256: createHash('sha256').update(weights).digest('hex'),
    seed,
    documents,
    parameters: model.parameters,
    config: { ...config, adapter: { method: 'full' } },
    minutes: round((Date.parse(run.endedAt!) - Date.parse(run.startedAt!)) / 60_000),
    maxLogitDifference: certificate.maxLogitDifference,
    curve: {
      loss: steps.filter(({ step }) => step % 20 === 0).map(({ step, loss }) => [step, round(loss)]),
      heldOut: evals.map(({ step, loss }) => [step, round(loss)]),
    },
  };
}

/** Trains and says how far it is. */
async function trained(
  core: Core,
  given: { model: string; dataset: string; config: TrainConfig },
): Promise<Run> {
  const { ended } = await core.runs.start(
    { ...given, name: `starter-${Date.now().toString(36)}` },
    (event) => {
      if (event.type === 'eval') say(`step ${event.step}: held-out loss ${event.loss.toFixed(4)}`);
      else if (event.type === 'step' && event.step % 20 === 0)
        say(
          `step ${event.step}/${maxSteps}: loss ${event.loss.toFixed(4)}, ${Math.round(event.tokensPerSecond)} tokens/s`,
        );
    },
  );
  const run = await ended;
  if (run.error) throw StudioError.fromPlain(run.error);
  return run;
}

/** What the model says to its tasks before anybody taught it. */
async function evaluate(core: Core, folder: string): Promise<object> {
  core.grading.allowForNow();
  const model = await core.models.getOrAdd(folder);
  const scores: Record<string, object> = {};
  for (const task of starterTasks) {
    const { score, interval, n } = await core.evaluations.start(
      {
        ...starterScoring(task, null),
        data: { path: join(out, 'tasks', task.name, 'test.jsonl') },
        model: model.id,
        adapter: null,
        precision: 'f32',
      },
      signal,
    );
    scores[task.name] = { benchmark: task.benchmark, score, interval, n };
    say(`${task.label}: ${(100 * score).toFixed(1)} % of ${n}`);
  }
  return scores;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
