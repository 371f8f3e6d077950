import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { createCore } from '../../../src-main/core/createCore.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { fixtures, recorded } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const elsewhere = (name: string) => join(recorded, 'elsewhere', name);
const uneven = elsewhere('lora-uneven');
let core: Core;
let home: string;
let run: Run;

beforeAll(async () => {
  const opened = await openTrainingCore();
  ({ core, home } = opened);
  run = await core.adapters.add({ folder: uneven, model: 'tiny' }, neverAborted);
});
afterAll(() => core.close());

const runFolders = () => readdirSync(join(home, 'runs')).sort();

/** A copy of an adapter folder with something changed. */
function changed(from: string, change: (folder: string) => void): string {
  const folder = join(temporaryFolder(), basename(from));
  cpSync(from, folder, { recursive: true });
  change(folder);
  return folder;
}

function withConfig(from: string, more: object): string {
  return changed(from, (folder) => {
    const path = join(folder, 'adapter_config.json');
    writeFileSync(path, JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...more }));
  });
}

/** With the numbers of one tensor changed. */
function withValues(from: string, part: string, change: (values: Float32Array) => void): string {
  return changed(from, (folder) => {
    const path = join(folder, 'adapter_model.safetensors');
    const file = new SafetensorsFile(path, 'internal');
    const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
      const data = file.read(name);
      if (name.includes(part)) change(new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4));
      return { name, dtype, shape, data };
    });
    file.close();
    writeSafetensors(path, tensors);
  });
}

it('an adapter folder becomes a run of the open project, with what is known of it and nothing else', () => {
  expect(run).toMatchObject({
    name: 'lora-uneven',
    state: 'done',
    modelName: 'tiny',
    datasetId: null,
    dataContract: null,
    resumable: false,
    imported: { source: uneven, peftType: 'LORA', baseName: 'tiny-llama', sameWeights: [] },
  });
  const file = new SafetensorsFile(join(uneven, 'adapter_model.safetensors'), 'internal');
  const numbers = [...file.tensors.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  file.close();
  expect(run.trainable).toBe(numbers.reduce((a, b) => a + b, 0));
  expect(core.adapters.list().map(({ id }) => id)).toEqual([run.id]);
  expect(core.runs.get('lora-uneven').id).toBe(run.id);
  expect(readdirSync(join(home, 'runs', run.id))).toEqual(['checkpoints']);
});

it('of a folder it says what it holds and which models may be its base, the one that it names first', async () => {
  await core.models.add({ folder: join(fixtures, 'tiny-qwen2'), name: 'other', copy: false });
  const found = core.adapters.inspect(join(uneven, 'adapter_model.safetensors'));
  expect(found).toMatchObject({ folder: uneven, peftType: 'LORA', baseName: 'tiny-llama', modules: 4 });
  expect(found.models.map(({ name, isNamed, problem }) => [name, isNamed, problem === null])).toEqual([
    ['tiny', true, true],
    ['other', false, false],
  ]);
});

describe('which base', () => {
  const base = (folder: string, model?: string) => core.adapters.add({ folder, model }, neverAborted);

  it('is the one that fits and that it names; where that is not clear, a person says it', async () => {
    const nameless = withConfig(uneven, { base_model_name_or_path: null });
    await expect(base(nameless)).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/not clear. By its shapes it can be tiny\.$/) as string,
    });
    const wrong = withConfig(uneven, { base_model_name_or_path: 'meta-llama/Llama-3' });
    await expect(base(wrong)).rejects.toMatchObject({
      message: expect.stringContaining('it names meta-llama/Llama-3') as string,
    });
    await expect(base(elsewhere('dora-layer'))).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('it names tiny-qwen3') as string,
    });
  });

  it('is refused by shapes, whatever it is called', async () => {
    await expect(base(uneven, 'other')).rejects.toMatchObject({
      code: 'adapter_invalid',
      message: expect.stringMatching(/needs? \[/) as string,
      remedy: expect.stringContaining('tiny-llama') as string,
    });
    const pivots = join(recorded, 'package', 'idlora-rows');
    await expect(base(pivots, 'other')).rejects.toMatchObject({ code: 'adapter_invalid' });
    await expect(base(join(recorded, 'package', 'idlora-pivot'), 'tiny')).rejects.toMatchObject({
      message: expect.stringContaining('refers to rows of the base weights') as string,
    });
  });

  it('may be the same weights in other files where the rows that it names lie beside it', async () => {
    const run = await base(join(recorded, 'package', 'idlora-rows'), join(fixtures, 'tiny-llama-sharded'));
    expect(run).toMatchObject({ state: 'done', modelName: 'tiny-llama-sharded' });
    core.runs.remove(run.id);
  });
});

it.each<[string, () => string, string, RegExp]>([
  [
    'a kind that PEFT calls VERA',
    () => withConfig(uneven, { peft_type: 'VERA' }),
    'model_unsupported',
    /VERA/,
  ],
  [
    'PiSSA',
    () => withConfig(uneven, { init_lora_weights: 'pissa' }),
    'model_unsupported',
    /"pissa".*base weights/,
  ],
  [
    'unknown keys',
    () => withConfig(uneven, { use_tomorrow: true }),
    'model_unsupported',
    /use_tomorrow true, an option of a newer/,
  ],
  [
    'a pickle',
    () =>
      changed(uneven, (folder) =>
        renameSync(join(folder, 'adapter_model.safetensors'), join(folder, 'adapter_model.bin')),
      ),
    'adapter_invalid',
    /adapter_model.bin, a Python pickle, which the studio does not run/,
  ],
  [
    'a pickle under another name',
    () =>
      changed(uneven, (folder) =>
        writeFileSync(join(folder, 'adapter_model.safetensors'), Buffer.from('\x80\x02pickle', 'latin1')),
      ),
    'adapter_invalid',
    /adapter_model.safetensors is a zip archive or a pickle/,
  ],
  [
    'another embedding',
    () => withValues(elsewhere('lora-embeddings'), 'embed_tokens', (values) => (values[3]! += 1)),
    'model_unsupported',
    /replaces .*embed_tokens.weight/,
  ],
  [
    'numbers that are none',
    () => withValues(uneven, 'q_proj.lora_A', (values) => (values[1] = NaN)),
    'adapter_invalid',
    /q_proj.lora_A.weight has values that are no finite numbers/,
  ],
])('%s is refused by name, and nothing of it stays', async (_, folder, code, message) => {
  if (!core.models.list().some(({ name }) => name === 'gemma'))
    await core.models.add({ folder: join(fixtures, 'tiny-gemma'), name: 'gemma', copy: false });
  const before = runFolders();
  const given = folder();
  const model = given.includes('embeddings') ? 'gemma' : 'tiny';
  await expect(core.adapters.add({ folder: given, model }, neverAborted)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message) as string,
  });
  expect(runFolders()).toEqual(before);
});

it('names are told apart, and one that a person chose is not taken twice', async () => {
  const second = await core.adapters.add({ folder: uneven, model: 'tiny' }, neverAborted);
  expect(second.name).toBe('lora-uneven-2');
  await expect(
    core.adapters.add({ folder: uneven, model: 'tiny', name: 'lora-uneven' }, neverAborted),
  ).rejects.toMatchObject({ code: 'name_taken' });
  core.runs.remove(second.id);
  expect(core.adapters.list().map(({ name }) => name)).toEqual(['lora-uneven']);
});

it('an import that was cancelled leaves nothing, and one that died is cleared away at the next start', async () => {
  const before = runFolders();
  const controller = new AbortController();
  const adding = core.adapters.add({ folder: uneven, model: 'tiny' }, controller.signal);
  controller.abort();
  await expect(adding).rejects.toMatchObject({ code: 'cancelled' });
  expect(runFolders()).toEqual(before);
  const left = join(home, 'runs', 'abcd');
  mkdirSync(left);
  writeFileSync(join(left, '.importing'), '');
  core.adapters.recover();
  expect(runFolders()).toEqual(before);
});

describe('trained on', () => {
  const config = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 4, alpha: 8 },
    learningRate: 1e-9,
    maxSteps: 1,
    batch: 1,
    context: 96,
    heldOutFraction: 0,
  });
  const request = (changes: object = {}) => ({
    name: 'further',
    model: 'tiny',
    dataset: 'sums',
    from: { run: run.id },
    config: { ...config, adapter: { ...run.config.adapter, dropout: 0 }, ...changes },
  });

  it('begins with its numbers, keeps them when it is removed, and says so', async () => {
    const { ended } = await core.runs.start(request());
    const further = await ended;
    expect(further).toMatchObject({ state: 'done', start: { runId: run.id, step: 0 }, imported: null });
    const read = (folder: string) => {
      const file = new SafetensorsFile(join(folder, 'adapter', 'adapter_model.safetensors'), 'internal');
      const values = [...file.tensors.keys()].map((key) => new Float32Array(file.read(key).buffer));
      file.close();
      return values;
    };
    const before = read(join(home, 'runs', run.id, 'checkpoints', '00000000'));
    const after = read(core.runs.requireCheckpoint(further));
    expect(after.length).toBe(before.length);
    const differences = after.flatMap((values, i) => [...values].map((v, j) => Math.abs(v - before[i]![j]!)));
    expect(Math.max(...differences)).toBeLessThan(1e-7);
    expect(existsSync(join(home, 'runs', further.id, 'start', 'adapter', 'adapter_model.safetensors'))).toBe(
      true,
    );
  });

  it.each<[string, object, RegExp]>([
    [
      'another rank',
      { config: { ...config, adapter: { method: 'lora', rank: 8, alpha: 8 } } },
      /rank \(4 to/,
    ],
    ['another model', { model: 'other' }, /belongs to "tiny"/],
    ['a step that is not kept', { from: { run: 'lora-uneven', step: 7 } }, /no checkpoint of step 7/],
  ])('%s is refused', async (_, changes, message) => {
    const asked = { ...request(), name: 'refused', ...changes };
    const parsed = { ...asked, config: trainConfigSchema.parse(asked.config) };
    await expect(core.runs.start(parsed)).rejects.toThrow(message);
  });

  it('it does not go on by itself: its optimizer and its rows are not here', async () => {
    await expect(core.runs.resume(run.id)).rejects.toMatchObject({
      code: 'config_invalid',
      remedy: expect.stringContaining('train --from lora-uneven') as string,
    });
    await expect(core.runs.branch(run.id, { step: 0, name: 'b', changes: {} })).rejects.toThrow(/elsewhere/);
  });
});

it('is scored and exported like a run: the certificate holds, the card says where it came from', async () => {
  const data = { dataset: 'sums' };
  const asked = { benchmark: 'perplexity', data, limit: 4, seed: 1, precision: 'f32' } as const;
  const scored = await core.evaluations.start({ ...asked, model: 'tiny', adapter: run.name }, neverAborted);
  expect(scored).toMatchObject({ subject: 'lora-uneven', runId: run.id, n: 4 });
  const folder = join(temporaryFolder(), 'out');
  const exported = await core.exports.create({ run: run.name, folder }, neverAborted);
  expect(exported.certificate).toMatchObject({ equal: true, peft: { isEqual: true, modules: 4 } });
  const card = readFileSync(join(folder, 'README.md'), 'utf8');
  expect(card).toContain('It was trained elsewhere, and imported');
  expect(card).not.toContain('learning rate');
  expect(card).not.toContain(recorded);
  await expect(
    core.evaluations.start({ ...asked, data: null, model: 'tiny', adapter: run.name }, neverAborted),
  ).rejects.toThrow(/rows that it was trained on are not known/);
});

it('belongs to the project in which it was added', () => {
  const beside = createCore({ home, project: 'default', mode: 'read' });
  expect(beside.adapters.list()).toHaveLength(1);
  beside.close();
});
