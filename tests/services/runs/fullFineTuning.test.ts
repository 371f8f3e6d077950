import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { SafetensorsFile } from '../../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { maxDifference } from '../../support/parity/recordedValues.ts';
import { tinyLlama } from '../../support/paths.ts';
import { storedInHalf } from '../../support/trainingRun.ts';

const config = (method: 'full' | 'lora') =>
  trainConfigSchema.parse({
    adapter: { method, rank: 4, alpha: 8 },
    learningRate: 3e-3,
    maxSteps: 10,
    batch: 4,
    context: 64,
    heldOutFraction: 0.2,
    checkpointEvery: 0,
  });

let core: Core;
let home: string;
let dataFile: string;
const runs = new Map<string, Run>();

beforeAll(async () => {
  ({ core, home, dataFile } = openTestCore());
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  await core.models.add({ folder: storedInHalf('BF16'), name: 'half', copy: false });
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  for (const [name, model, method] of [
    ['full', 'tiny', 'full'],
    ['full-half', 'half', 'full'],
    ['lora', 'tiny', 'lora'],
  ] as const) {
    const started = await core.runs.start({ name, model, dataset: 'sums', config: config(method) });
    runs.set(name, await started.ended);
  }
});
afterAll(() => core.close());

it('records that every parameter was trained', () => {
  const count = core.models.get('tiny').parameters;
  expect(runs.get('full')).toMatchObject({ state: 'done', error: null, trainable: count, frozenExtra: 0 });
  const { steps } = core.runs.curves('full');
  expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss);
});

it('is evaluated, compared and generated with as it was trained', async () => {
  const settings = { limit: null, shots: 0, maxTokens: 8, seed: 0, precision: 'f32' } as const;
  const subject = { model: 'tiny', adapter: 'full', benchmark: 'perplexity', data: null } as const;
  const scored = await core.evaluations.start({ ...subject, ...settings }, neverAborted);
  expect(Math.log(scored.score)).toBeCloseTo(core.runs.curves('full').evals[0]!.loss, 4);
  const again = await core.evaluations.start({ ...subject, ...settings }, neverAborted);
  expect(again.id).toBe(scored.id);
  const { comparisons } = await core.evaluations.compare(
    { ...settings, runs: ['full', 'lora'], benchmark: 'perplexity', data: null },
    neverAborted,
  );
  expect(comparisons[0]).toMatchObject({
    a: 'full',
    b: 'lora',
    n: 12,
  });
  const text = await core.generation.text(
    {
      model: 'tiny',
      adapter: 'full',
      prompt: 'What',
      chat: null,
      maxTokens: 4,
      temperature: 0,
      topP: 1,
      seed: 0,
      precision: 'f32',
    },
    neverAborted,
  );
  expect(text.tokens.length).toBeGreaterThan(0);
});

async function logits(model: string, adapter: string | null): Promise<Float32Array> {
  const out = join(home, `${adapter}.logits`);
  const ids = [1, 7, 20, 33, 4];
  await core.generation.logits({ model, adapter, ids, out, precision: 'f32' }, neverAborted);
  const file = new SafetensorsFile(out, 'internal');
  const values = new Float32Array(file.read('logits').buffer);
  file.close();
  return values;
}

it.each([
  ['full', 'tiny', 'F32'],
  ['full-half', 'half', 'BF16'],
])('exports %s as a model folder in the types of its base', async (name, base, dtype) => {
  const folder = join(home, 'exports', name);
  const record = await core.exports.create({ run: name, folder }, neverAborted);
  expect(record.format).toBe('merged');
  expect(record.files.map((file) => file.name).toSorted()).toEqual(readdirSync(folder).toSorted());
  const { certificate } = record;
  expect(certificate).toMatchObject({ equal: true, dtype });
  if (dtype === 'F32') expect(certificate).toMatchObject({ maxLogitDifference: 0, tolerance: 1e-5 });
  else expect(certificate.maxLogitDifference).toBeGreaterThan(0);
  const weights = new WeightFolder(folder);
  expect(weights.names.map((tensor) => weights.info(tensor)!.dtype)).toEqual(weights.names.map(() => dtype));
  weights.close();

  // It is a model like any other: the studio takes it, and it computes what the run does, and not what the base does.
  const exported = await core.models.add({ folder, name: `exported-${name}`, copy: false });
  const [run, own, before] = [
    await logits(base, name),
    await logits(exported.name, null),
    await logits(base, null),
  ];
  expect(maxDifference(own, run)).toBeLessThanOrEqual(certificate.tolerance);
  expect(maxDifference(before, run)).toBeGreaterThan(2 * certificate.tolerance);
});

it('refuses the format of the other kind of run, saying which one there is', async () => {
  const create = (run: string, format: 'peft' | 'merged') =>
    core.exports.create({ run, format, folder: join(home, 'none') }, neverAborted);
  await expect(create('full', 'peft')).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(/trained every parameter: there is no adapter/) as string,
    remedy: expect.stringMatching(/merged/) as string,
  });
  expect(existsSync(join(home, 'none'))).toBe(false);
});

it('merges a LoRA into a model folder that computes what the run does', async () => {
  const record = await core.exports.create({ run: 'lora', format: 'merged' }, neverAborted);
  expect(record.folder).toBe(join(home, 'exports', 'lora-merged'));
  expect(record.certificate).toMatchObject({ equal: true, dtype: 'F32', tolerance: 1e-3 });
  // The update is rounded into the weights once more, and so it is not bit for bit.
  expect(record.certificate.maxLogitDifference).toBeGreaterThan(0);
  const exported = await core.models.add({ folder: record.folder, name: 'merged', copy: false });
  const [run, own, before] = [
    await logits('tiny', 'lora'),
    await logits(exported.name, null),
    await logits('tiny', null),
  ];
  expect(maxDifference(own, run)).toBeLessThan(1e-4);
  expect(maxDifference(before, run)).toBeGreaterThan(1e-3);
  expect(readFileSync(join(record.folder, 'README.md'), 'utf8')).toContain('with a merged lora adapter');
});

it('does not export over a folder with anything in it', async () => {
  const folder = join(home, 'precious');
  mkdirSync(folder);
  writeFileSync(join(folder, 'config.json'), '{}');
  await expect(core.exports.create({ run: 'full', folder }, neverAborted)).rejects.toMatchObject({
    code: 'name_taken',
  });
  expect(readdirSync(folder)).toEqual(['config.json']);
});

it('stops with a checkpoint and resumes to the same end as an uninterrupted run', async () => {
  const started = await core.runs.start(
    { name: 'cut', model: 'tiny', dataset: 'sums', config: config('full') },
    (event) => {
      if (event.type === 'step' && event.step >= 3) void core.runs.stop('cut', { save: true });
    },
  );
  const cut = await started.ended;
  expect(cut).toMatchObject({ state: 'stopped', resumable: true });
  expect(cut.step).toBeLessThan(10);
  expect(await (await core.runs.resume('cut')).ended).toMatchObject({ state: 'done', step: 10 });
  const losses = (name: string) => core.runs.curves(name).steps.map(({ step, loss }) => [step, loss]);
  expect(losses('cut')).toEqual(losses('full'));
  expect(await logits('tiny', 'cut')).toEqual(await logits('tiny', 'full'));
});
