import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dataContractSchema, type Run } from '../../src-main/contract/entities.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { openAdapterFolder } from '../../src-main/formats/adapter/peftAdapter.ts';
import { neverAborted, openCoreOn, openTestCore } from '../support/core.ts';
import { fixtures, tinyLlama } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const config = (rest: Partial<TrainConfigInput> = {}) =>
  trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 4, alpha: 8 },
    learningRate: 1e-2,
    maxSteps: 12,
    batch: 4,
    context: 64,
    heldOutFraction: 0.2,
    checkpointEvery: 5,
    ...rest,
  });

describe('from a model folder to a compared and exported adapter', () => {
  let core: Core;
  let home: string;
  let dataFile: string;
  let lora: Run;
  let idLora: Run;

  beforeAll(async () => {
    ({ core, home, dataFile } = openTestCore());
    await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
    await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
    lora = await (
      await core.runs.start({ name: 'lora', model: 'tiny', dataset: 'sums', config: config() })
    ).ended;
    const idConfig = config({ adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 3 } });
    idLora = await (
      await core.runs.start({ name: 'id', model: 'tiny', dataset: 'sums', config: idConfig })
    ).ended;
  });
  afterAll(() => core.close());

  it('records runs with curves, data contract and environment', () => {
    expect(lora).toMatchObject({ state: 'done', step: 12, totalSteps: 12, error: null, resumable: false });
    const { steps, evals } = core.runs.curves('lora');
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss);
    expect(evals).toHaveLength(1);
    expect(lora.dataContract).toMatchObject({ rows: 60, trainRows: 48, heldOutRows: 12, truncatedRows: 0 });
    expect(lora.environment?.tensorflow).toMatch(/^2\./);
    expect(idLora.trainable).toBeLessThan(lora.trainable!);
  });

  it('takes the steps of a packed run from its packs and records them; older records have none', async () => {
    const short = join(home, 'short.jsonl');
    const lines = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({ prompt: 'x'.repeat(3 + (i % 9)), completion: 'y'.repeat(2 + (i % 7)) }),
    );
    writeFileSync(short, lines.join('\n'));
    await core.datasets.add({ path: short, name: 'short', format: 'auto' });
    const { ended } = await core.runs.start({
      name: 'packed',
      model: 'tiny',
      dataset: 'short',
      config: config({ packing: true, context: 96, maxSteps: null, epochs: 1, batch: 2 }),
    });
    const packed = await ended;
    const { packs, efficiency } = packed.dataContract!.packing!;
    expect(packed).toMatchObject({
      state: 'done',
      step: Math.ceil(packs / 2),
      totalSteps: Math.ceil(packs / 2),
    });
    expect(packs).toBeLessThan(packed.dataContract!.trainRows / 3);
    expect(efficiency).toBeCloseTo(packed.dataContract!.tokens / (packs * 96), 10);
    expect(core.runs.get('lora').dataContract!.packing).toBeNull();
    const { packing: _packing, ...older } = lora.dataContract!;
    expect(dataContractSchema.parse(older).packing).toBeNull();
    core.runs.remove('packed');
  });

  it('scores perplexity on the held-out rows and exact match on a file, and remembers results', async () => {
    const settings = { model: 'tiny', limit: 8, shots: 0, maxTokens: 12, seed: 0, precision: 'f32' } as const;
    const perplexity = await core.evaluations.start(
      { ...settings, adapter: 'lora', benchmark: 'perplexity', data: null, limit: null },
      neverAborted,
    );
    expect(perplexity.n).toBe(12);
    expect(perplexity.interval[0]).toBeLessThan(perplexity.score);
    expect(Math.log(perplexity.score)).toBeCloseTo(core.runs.curves('lora').evals[0]!.loss, 4);
    const exact = await core.evaluations.start(
      { ...settings, adapter: 'id', benchmark: 'gsm8k', data: { path: dataFile } },
      neverAborted,
    );
    expect(exact.n).toBe(8);
    expect((await core.evaluations.items(exact.id)).every(({ output }) => output !== null)).toBe(true);
    const again = await core.evaluations.start(
      { ...settings, adapter: 'id', benchmark: 'gsm8k', data: { path: dataFile } },
      neverAborted,
    );
    expect(again.id).toBe(exact.id);
  });

  it('compares two runs on the same held-out rows', async () => {
    const { comparisons } = await core.evaluations.compare(
      {
        runs: ['lora', 'id'],
        benchmark: 'perplexity',
        data: null,
        limit: null,
        seed: 0,
        shots: 0,
        maxTokens: 8,
      },
      neverAborted,
    );
    expect(comparisons[0]).toMatchObject({ a: 'lora', b: 'id', n: 12, test: 'wilcoxon_signed_rank' });
    expect(comparisons[0]!.sentence).toMatch(/on 12 items of sums, held-out rows/);
  });

  it.each(['lora', 'id'])('exports %s as a PEFT folder that computes the same', async (name) => {
    const folder = join(home, 'exports', name);
    const record = await core.exports.create({ run: name, folder }, neverAborted);
    expect(record.certificate).toMatchObject({ equal: true, maxLogitDifference: 0 });
    expect(readdirSync(folder).sort()).toEqual([
      'README.md',
      'adapter_config.json',
      'adapter_model.safetensors',
      'data_contract.json',
      // PEFT has no ID-LoRA: the package that teaches it lies beside it.
      ...(name === 'id' ? ['id_lora'] : []),
    ]);
    const adapter = openAdapterFolder(folder);
    expect(adapter.config.method).toBe(name === 'id' ? 'idlora' : 'lora');
    adapter.tensors.close();
    const text = await core.generation.text(
      {
        model: 'tiny',
        adapter: folder,
        prompt: 'What',
        chat: null,
        maxTokens: 5,
        temperature: 0,
        topP: 1,
        seed: 0,
        precision: 'f32',
      },
      neverAborted,
    );
    expect(text.tokens.length).toBeGreaterThan(0);
  });

  it('does not export over a folder that is something else', async () => {
    const folder = join(home, 'precious');
    mkdirSync(folder);
    writeFileSync(join(folder, 'thesis.txt'), 'x');
    await expect(core.exports.create({ run: 'lora', folder }, neverAborted)).rejects.toMatchObject({
      code: 'name_taken',
    });
    expect(readdirSync(folder)).toEqual(['thesis.txt']);
  });

  it('stops with a checkpoint and resumes to the same end as an uninterrupted run', async () => {
    const long = config({ maxSteps: 40, checkpointEvery: 0 });
    const whole = await (
      await core.runs.start({ name: 'whole', model: 'tiny', dataset: 'sums', config: long })
    ).ended;
    let stopping: Promise<Run> | null = null;
    const started = await core.runs.start(
      { name: 'cut', model: 'tiny', dataset: 'sums', config: long },
      (event) => {
        if (event.type === 'step' && event.step >= 3) stopping ??= core.runs.stop('cut', { save: true });
      },
    );
    const cut = await started.ended;
    expect(cut.state).toBe('stopped');
    expect(cut.resumable).toBe(true);
    expect(cut.step).toBeLessThan(40);
    const resumed = await (await core.runs.resume('cut')).ended;
    expect(resumed).toMatchObject({ state: 'done', step: 40 });
    const losses = (name: string) => core.runs.curves(name).steps.map(({ step, loss }) => [step, loss]);
    expect(losses('cut')).toEqual(losses('whole'));
    const weights = (run: Run) =>
      readFileSync(join(core.runs.checkpoint(run)!, 'adapter', 'adapter_model.safetensors')).toString(
        'base64',
      );
    expect(weights(resumed)).toBe(weights(whole));
  });

  it('refuses an adapter of another model', async () => {
    await core.models.add({ folder: join(fixtures, 'tiny-llama-sharded'), name: 'other', copy: true });
    await expect(
      core.generation.text(
        {
          model: 'other',
          adapter: 'lora',
          prompt: 'x',
          chat: null,
          maxTokens: 2,
          temperature: 0,
          topP: 1,
          seed: 0,
          precision: 'f32',
        },
        neverAborted,
      ),
    ).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringContaining('was trained on "tiny"') as string,
    });
  });

  it('marks runs of a dead process as interrupted, resumable from their checkpoint', async () => {
    const second = openTestCore();
    await second.core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
    await second.core.datasets.add({ path: second.dataFile, name: 'sums', format: 'auto' });
    let seen = 0;
    const started = await second.core.runs.start(
      { name: 'r', model: 'tiny', dataset: 'sums', config: config({ maxSteps: 500, checkpointEvery: 1 }) },
      (event) => {
        if (event.type === 'checkpoint' && ++seen === 2) second.core.close();
      },
    );
    await started.ended.catch(() => null);
    const reopened = openCoreOn(second.home);
    expect(reopened.runs.get('r')).toMatchObject({ state: 'interrupted', resumable: true });
    reopened.close();
  });
});

describe('bad input: a clear error, nothing half-written', () => {
  let core: Core;
  let home: string;
  beforeAll(() => {
    ({ core, home } = openTestCore());
  });
  afterAll(() => core.close());

  /** A copy of the sharded model with something broken. */
  function broken(change: (folder: string) => void): string {
    const folder = join(temporaryFolder(), 'model');
    cpSync(join(fixtures, 'tiny-llama-sharded'), folder, { recursive: true });
    change(folder);
    return folder;
  }
  function editConfig(folder: string, changes: object) {
    const path = join(folder, 'config.json');
    writeFileSync(
      path,
      JSON.stringify({ ...(JSON.parse(readFileSync(path, 'utf8')) as object), ...changes }),
    );
  }
  const shard = 'model-00002-of-00002.safetensors';

  it.each<[string, (folder: string) => void, string, RegExp]>([
    [
      'a missing shard',
      (f) => rmSync(join(f, shard)),
      'model_invalid',
      /shard model-00002-of-00002.safetensors is missing/,
    ],
    ['a truncated shard', (f) => truncateSync(join(f, shard), 5000), 'model_invalid', /truncated/],
    [
      'an unknown architecture',
      (f) => editConfig(f, { model_type: 'mamba' }),
      'model_unsupported',
      /"mamba"/,
    ],
    [
      'quantized weights',
      (f) => editConfig(f, { quantization_config: { bits: 4 } }),
      'model_unsupported',
      /quantized/,
    ],
    [
      'tensors of another size',
      (f) => editConfig(f, { intermediate_size: 96 }),
      'model_invalid',
      /gate_proj.weight is \[80,48\]; config.json makes it \[96,48\]/,
    ],
    [
      'a tokenizer too large for the model',
      (f) => {
        const path = join(f, 'tokenizer.json');
        const json = JSON.parse(readFileSync(path, 'utf8')) as { model: { vocab: Record<string, number> } };
        json.model.vocab['extra'] = 500;
        writeFileSync(path, JSON.stringify(json));
      },
      'tokenizer_mismatch',
      /ids up to 500, but config.json gives the model a vocabulary of 101/,
    ],
    [
      'no tokenizer',
      (f) => rmSync(join(f, 'tokenizer.json')),
      'model_invalid',
      /tokenizer.json does not exist/,
    ],
    [
      'a shard outside the folder',
      (f) => {
        const path = join(f, 'model.safetensors.index.json');
        writeFileSync(path, readFileSync(path, 'utf8').replaceAll(shard, '../../etc/passwd'));
      },
      'model_invalid',
      /not a file of the folder/,
    ],
  ])('%s', async (_name, change, code, message) => {
    const folder = broken(change);
    for (const copy of [false, true]) {
      let thrown: unknown;
      try {
        await core.models.add({ folder, copy });
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({ code, message: expect.stringMatching(message) as string });
      expect((thrown as { remedy: string }).remedy.length).toBeGreaterThan(10);
    }
    expect(core.models.list()).toEqual([]);
    expect(existsSync(join(home, 'models')) ? readdirSync(join(home, 'models')) : []).toEqual([]);
  });

  it('no such folder', async () => {
    await expect(core.models.add({ folder: '/no/such/folder', copy: false })).rejects.toThrow(
      'There is no folder /no/such/folder',
    );
  });

  it.each<[string, string, string, RegExp]>([
    ['an empty file', '', 'dataset_empty', /has no rows/],
    ['only blank lines', '\n\n', 'dataset_empty', /has no rows/],
    [
      'a row without answer',
      '{"question":"a","answer":"b"}\n{"question":"c","answer":" "}\n',
      'dataset_invalid',
      /row 2 has an empty "answer"/,
    ],
    [
      'a row without the field',
      '{"question":"a","answer":"b"}\n{"question":"c"}\n',
      'dataset_invalid',
      /row 2 has no "answer"/,
    ],
    [
      'a broken line',
      '{"question":"a","answer":"b"}\n{"question":\n',
      'dataset_invalid',
      /row 2 is not JSON/,
    ],
    ['unknown fields', '{"x":1}\n', 'dataset_invalid', /row 1 has the fields x, which fit no known format/],
    [
      'a list as text',
      '{"question":"a","answer":["7"]}\n',
      'dataset_invalid',
      /row 1 has something other than text as "answer" \(a list\)/,
    ],
  ])('a dataset with %s', async (_name, content, code, message) => {
    const path = join(temporaryFolder(), 'data.jsonl');
    writeFileSync(path, content);
    await expect(core.datasets.add({ path, strict: true })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
    expect(core.datasets.list()).toEqual([]);
    expect(existsSync(join(home, 'datasets')) ? readdirSync(join(home, 'datasets')) : []).toEqual([]);
  });

  it('bytes that are no UTF-8', async () => {
    const path = join(temporaryFolder(), 'data.jsonl');
    writeFileSync(
      path,
      Buffer.concat([Buffer.from('{"text":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}\n')]),
    );
    await expect(core.datasets.add({ path, format: 'auto' })).rejects.toMatchObject({
      message: expect.stringMatching(/is not UTF-8: byte 0xFF at position 9 \(line 1\)/) as string,
    });
  });

  it('a context in which no answer fits', async () => {
    const own = openTestCore();
    const { ended } = await own.core.runs.start({
      name: 'r',
      model: tinyLlama,
      dataset: own.dataFile,
      config: config({ context: 8 }),
    });
    const failed = await ended;
    expect(failed.error).toMatchObject({
      code: 'dataset_invalid',
      message: expect.stringMatching(/context of 8 tokens all 48 rows lose their whole answer/) as string,
    });
    expect(own.core.runs.get('r')).toEqual(failed);
    expect(failed.state).toBe('failed');
    own.core.close();
  });

  it('a second studio on the same data folder; reading stays possible', async () => {
    expect(() => openCoreOn(home)).toThrow(`Another studio (process ${process.pid})`);
    const reader = createCore({ home, project: 'default', mode: 'read' });
    expect(reader.models.list()).toEqual([]);
    await expect(reader.models.add({ folder: tinyLlama, copy: false })).rejects.toThrow(/reading only/);
    reader.close();
  });
});
