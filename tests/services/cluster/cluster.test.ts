import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { handedRunSchema, type HandOver } from '../../../src-main/contract/cluster.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { createDataOrder } from '../../../src-main/data/mix/dataOrder.ts';
import { adoptModel } from '../../../src-main/engine/process/adoptAdapter.ts';
import { checkpointName } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { commandLine } from '../../../src-main/setup/paths.mjs';
import { learningRate } from '../../../src-main/options/schedule.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';
import { fixtures, projectFolder } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const { core, home } = await openTrainingCore();
afterAll(() => core.close());
const recorded = join(projectFolder, 'tests', 'parity', 'recorded', 'cluster');

const config = trainConfigSchema.parse({
  adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 2, pivots: 'serial', dropout: 0.1 },
  maxSteps: 5,
  batch: 4,
  context: 64,
  schedule: 'cosine',
});
const training = { name: 'far', model: 'tiny', dataset: 'sums', config };

describe('a training that is handed over', () => {
  let made: HandOver;
  beforeAll(async () => {
    made = await core.cluster.handOver({ training }, neverAborted);
  });

  it('is a folder that says what to do, and how it differs from here', () => {
    expect(made.folder).toBe(join(home, 'exports', 'far-cluster'));
    const names = ['README.md', 'run.json', 'rows.jsonl', 'rows.safetensors', 'train.py', 'requirements.txt'];
    expect(made.files).toEqual(expect.arrayContaining([...names, 'id_lora/__init__.py']));
    expect(made.totalSteps).toBe(5);
    expect(made.notes.join(' ')).toMatch(/^Dropout \(0\.1\) draws other random numbers/);
    const readme = readFileSync(join(made.folder, 'README.md'), 'utf8');
    expect(readme).toContain('torchrun --nproc-per-node 8 train.py --base tiny');
    expect(readme).toContain(`${commandLine} runs import result`);
    for (const name of ['README.md', 'run.json', 'start/adapter_config.json', 'rows.jsonl'])
      expect(readFileSync(join(made.folder, name), 'utf8'), name).not.toContain(home);
    // Nothing was trained, and no run is there.
    expect(core.runs.list().map(({ name }) => name)).not.toContain('far');
    expect(readdirSync(join(home, 'exports'))).toEqual(['far-cluster']);
  });

  it('holds the rows in the order of the steps, the rates, and the texts', () => {
    const file = new SafetensorsFile(join(made.folder, 'rows.safetensors'), 'internal');
    const numbers = (name: string) => {
      const { buffer } = file.read(name);
      const { dtype } = file.tensors.get(name)!;
      if (dtype === 'I64') return Array.from(new BigInt64Array(buffer as ArrayBuffer), Number);
      return [...(dtype === 'F64' ? new Float64Array(buffer) : new Int32Array(buffer))];
    };
    const [order, begins, offsets] = [numbers('order'), numbers('steps'), numbers('offsets')];
    expect(begins).toEqual([0, 4, 8, 12, 16, 20]);
    expect(numbers('rates')).toEqual([1, 2, 3, 4, 5].map((step) => learningRate(config, step, 5)));
    expect(new Set(order).size).toBe(20);
    expect(offsets).toHaveLength(made.rows + 1);
    expect(numbers('held_out.offsets')).toHaveLength(made.heldOutRows + 1);
    const lines = readFileSync(join(made.folder, 'rows.jsonl'), 'utf8').trim().split('\n');
    expect(lines).toHaveLength(made.rows + made.heldOutRows);
    const first = JSON.parse(lines[order[0]!]!) as { text: string; trained: string };
    expect(first.text.endsWith(first.trained)).toBe(true);
    file.close();
    // One pass over all rows is what `train` would do.
    const plain = createDataOrder({ ...config, rows: made.rows, packing: null, epochRows: null });
    expect(plain.microBatches(1)[0]).toHaveLength(4);
  });

  it('takes nobody’s folder', async () => {
    await expect(
      core.cluster.handOver({ training, folder: made.folder }, neverAborted),
    ).rejects.toMatchObject({
      code: 'name_taken',
    });
    await expect(core.cluster.handOver({}, neverAborted)).rejects.toMatchObject({ code: 'usage' });
  });

  it('comes back as a run with the data that it went with', async () => {
    const result = join(made.folder, 'result');
    mkdirSync(result);
    cpSync(join(made.folder, 'start'), join(result, 'adapter'), { recursive: true });
    cpSync(join(made.folder, 'run.json'), join(result, 'run.json'));
    const steps = [1, 2, 3, 4, 5].map((step) => ({
      event: 'step',
      step,
      loss: 5 - step / 10,
      lr: 1e-3,
      gradNorm: 1,
    }));
    const skipped = { event: 'step', step: 3, loss: null, lr: 1e-3, gradNorm: null, skipped: true };
    const curve = [...steps.slice(0, 2), skipped, ...steps.slice(3)];
    writeFileSync(join(result, 'curve.jsonl'), curve.map((line) => JSON.stringify(line)).join('\n'));
    const { id } = handedRunSchema.parse(JSON.parse(readFileSync(join(result, 'run.json'), 'utf8')));
    const facts = {
      run: id,
      step: 5,
      keptStep: 5,
      endReason: 'all_steps',
      processes: 8,
      device: 'GPU',
      torch: '2',
    };
    writeFileSync(join(result, 'result.json'), JSON.stringify(facts));
    // The folder as a whole serves, too.
    const run = await core.cluster.takeBack({ folder: made.folder }, neverAborted);
    expect(run).toMatchObject({ name: 'far', state: 'done', step: 5, totalSteps: 5, skippedSteps: 1 });
    expect(run.dataContract!.trainRows).toBe(made.rows);
    expect(core.runs.curves(run.id).steps.map(({ step }) => step)).toEqual([1, 2, 4, 5]);
    expect(run.notes).toContain('8 processes (GPU)');
    const again = await core.cluster.takeBack({ folder: made.folder }, neverAborted);
    expect(again.name).toBe('far-2');
    await expect(
      core.cluster.takeBack({ folder: made.folder, name: 'far' }, neverAborted),
    ).rejects.toMatchObject({
      code: 'name_taken',
    });
  });
});

it('a run that began with another one’s adapter is not handed over as a fresh one, and what came back does not go on', async () => {
  const { id } = await core.cluster.takeBack(
    { folder: join(recorded, 'lora'), name: 'origin' },
    neverAborted,
  );
  const { adapter } = core.runs.get(id).config;
  core.runs.queue.hold(true);
  const config = trainConfigSchema.parse({ adapter, maxSteps: 2, batch: 2, context: 64 });
  const parts = { model: 'tiny', dataset: 'sums', config };
  const { run } = await core.runs.start({ name: 'further', from: { run: id }, ...parts });
  for (const asked of [run.id, id])
    await expect(core.cluster.handOver({ run: asked }, neverAborted)).rejects.toMatchObject({
      code: 'config_invalid',
    });
  await expect(core.runs.resume(id, undefined, { maxSteps: 100 })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('was trained elsewhere') as string,
  });
  await expect(
    core.runs.branch(id, { name: 'twig', step: 50, changes: {} }, undefined),
  ).rejects.toMatchObject({
    code: 'config_invalid',
  });
  expect(core.runs.get(id).state).toBe('done');
  core.runs.stop(run.id, { save: false });
  core.runs.queue.hold(false);
});

it('takes what full fine-tuning leaves of a base that keeps copies beside its weights, and nothing that is no number', () => {
  const base = temporaryFolder();
  cpSync(join(fixtures, 'tiny-gemma'), base, { recursive: true });
  const path = join(fixtures, 'tiny-gemma', 'model.safetensors');
  const file = new SafetensorsFile(path, 'internal');
  const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => ({
    name,
    dtype,
    shape,
    data: file.read(name),
  }));
  const embedding = tensors.find(({ name }) => name === 'model.embed_tokens.weight')!;
  writeSafetensors(join(base, 'model.safetensors'), [...tensors, { ...embedding, name: 'lm_head.weight' }]);
  const adopt = (trainedFolder: string) => {
    const checkpointFolder = temporaryFolder();
    const request = { modelFolder: base, trainedFolder, checkpointFolder, step: 7 };
    adoptModel({ kind: 'adoptModel', ...request }, () => undefined);
    return new WeightFolder(join(checkpointFolder, checkpointName(7), 'model'));
  };
  const adopted = adopt(join(fixtures, 'tiny-gemma'));
  expect(adopted.names.toSorted()).toEqual(tensors.map(({ name }) => name).toSorted());
  expect(adopted.info(embedding.name)!.dtype).toBe('F32');
  adopted.close();
  const damaged = temporaryFolder();
  cpSync(join(fixtures, 'tiny-gemma'), damaged, { recursive: true });
  const spoilt = { ...embedding, data: new Uint8Array(embedding.data.length).fill(0xff) };
  writeSafetensors(
    join(damaged, 'model.safetensors'),
    tensors.map((tensor) => (tensor === embedding ? spoilt : tensor)),
  );
  expect(() => adopt(damaged)).toThrow(/model\.embed_tokens\.weight has values that are no finite numbers/);
  file.close();
});

describe('what PyTorch trained', () => {
  it('is a run that computes what its adapter computes, with its curve', async () => {
    const run = await core.cluster.takeBack({ folder: join(recorded, 'idlora'), name: 'back' }, neverAborted);
    expect(run).toMatchObject({ state: 'done', step: 50, totalSteps: 50, endReason: 'all_steps' });
    const { steps, evals } = core.runs.curves(run.id);
    expect(steps).toHaveLength(50);
    expect(evals.map(({ step }) => step)).toEqual([20, 40, 50]);
    expect(run.best).not.toBeNull();
    const logits = async (adapter: string, out: string) => {
      const request = {
        model: 'tiny',
        adapter,
        ids: [1, 20, 33, 47],
        out: join(home, out),
        precision: 'f32',
      };
      await core.generation.logits(request as never, neverAborted);
      const file = new SafetensorsFile(join(home, out), 'internal');
      const bytes = file.read('logits');
      file.close();
      return bytes;
    };
    expect(await logits('back', 'a.safetensors')).toEqual(
      await logits(join(recorded, 'idlora', 'adapter'), 'b.safetensors'),
    );
    const record = await core.exports.create({ run: 'back', folder: join(home, 'on') }, neverAborted);
    expect(record.certificate.equal).toBe(true);
  });

  const spoilt = (change: (folder: string) => void): string => {
    const folder = join(temporaryFolder(), 'result');
    cpSync(join(recorded, 'lora'), folder, { recursive: true });
    change(folder);
    return folder;
  };
  const edit = (name: string, change: (text: string) => string) => (folder: string) =>
    writeFileSync(join(folder, name), change(readFileSync(join(folder, name), 'utf8')));
  const withoutTensor = (folder: string) => {
    const path = join(folder, 'adapter', 'adapter_model.safetensors');
    const file = new SafetensorsFile(path, 'internal');
    const tensors = [...file.tensors].map(([name, info]) => ({
      ...info,
      name,
      data: Uint8Array.from(file.read(name)),
    }));
    file.close();
    writeSafetensors(path, tensors.slice(1));
  };

  it.each<[string, (folder: string) => void, string, RegExp]>([
    ['no result', (folder) => rmSync(join(folder, 'result.json')), 'not_found', /there is no result\.json/],
    [
      'another run',
      edit('result.json', (text) => text.replace(/"run": "[^"]*"/, '"run": "x"')),
      'adapter_invalid',
      /do not belong together/,
    ],
    [
      'a hole in the curve',
      edit('curve.jsonl', (text) => text.split('\n').toSpliced(4, 1).join('\n')),
      'adapter_invalid',
      /^Line 5 .*step 6 where step 5 is due/,
    ],
    [
      'a short curve',
      edit('curve.jsonl', (text) => text.split('\n').slice(0, 9).join('\n')),
      'adapter_invalid',
      /of step 9; result\.json speaks of 50 steps/,
    ],
    [
      'no number',
      edit('curve.jsonl', (text) => text.replace(/"loss": [\d.]+/, '"loss": NaN')),
      'adapter_invalid',
      /^Line 1 .* is no JSON/,
    ],
    ['an endless line', edit('curve.jsonl', () => 'x'.repeat(1e6)), 'adapter_invalid', /is too long/],
    [
      'no configuration',
      edit('run.json', () => '{}'),
      'adapter_invalid',
      /run\.json is not what train\.py writes/,
    ],
    ['a missing tensor', withoutTensor, 'adapter_invalid', /^The adapter's tensor base_model/],
    [
      'another rank',
      edit('run.json', (text) => text.replace('"rank": 4', '"rank": 2')),
      'adapter_invalid',
      /^The adapter's tensor base_model/,
    ],
  ])('with %s is refused, and leaves nothing', async (_name, change, code, message) => {
    const before = core.runs.list().length;
    await expect(
      core.cluster.takeBack({ folder: spoilt(change), name: 'never' }, neverAborted),
    ).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
    expect(core.runs.list()).toHaveLength(before);
  });

  it('of a job that was killed is taken in as far as it kept its state', async () => {
    const folder = spoilt(
      edit('result.json', (text) =>
        JSON.stringify({ ...JSON.parse(text), step: 40, keptStep: 40, endReason: 'stop_requested' }),
      ),
    );
    const run = await core.cluster.takeBack({ folder, name: 'killed' }, neverAborted);
    expect(run).toMatchObject({ state: 'stopped', step: 40, totalSteps: 50 });
    const { steps, evals } = core.runs.curves(run.id);
    expect(steps).toHaveLength(40);
    expect(evals.map(({ step }) => step)).toEqual([20, 40]);
  });

  it('is taken in on no other base', async () => {
    await expect(
      core.cluster.takeBack(
        { folder: join(recorded, 'lora'), name: 'x', model: join(fixtures, 'tiny-qwen2') },
        neverAborted,
      ),
    ).rejects.toMatchObject({ code: 'model_changed' });
    const other = edit('run.json', (text) => text.replace(/"sha256": "[0-9a-f]{8}/, '"sha256": "00000000'));
    await expect(core.cluster.takeBack({ folder: spoilt(other) }, neverAborted)).rejects.toMatchObject({
      code: 'not_found',
    });
  });
});
