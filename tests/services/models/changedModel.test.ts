import { appendFileSync, cpSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { SafetensorsFile, writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

let core: Core;
let dataFile: string;

beforeAll(async () => {
  ({ core, dataFile } = openTestCore());
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
});
afterAll(() => core.close());

/** A copy of tiny-llama, in place in the library. */
async function modelFolder(name: string): Promise<string> {
  const folder = temporaryFolder();
  cpSync(tinyLlama, folder, { recursive: true });
  await core.models.add({ folder, name, copy: false });
  return folder;
}

function rewrite(folder: string, file: string, change: (json: Record<string, unknown>) => void): void {
  const path = join(folder, file);
  const json = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  change(json);
  writeFileSync(path, JSON.stringify(json));
}

/** Gives two letters each other's ids. */
const swapLetters = (json: Record<string, unknown>) => {
  const { vocab } = json['model'] as { vocab: Record<string, number> };
  [vocab['e'], vocab['a']] = [vocab['a']!, vocab['e']!];
};
const setTheta = (theta: number) => (json: Record<string, unknown>) => {
  json['rope_parameters'] = { rope_theta: theta, rope_type: 'default' };
};

async function train(name: string, model: string, rest: Partial<TrainConfigInput> = {}) {
  const adapter = { method: 'lora', rank: 2, alpha: 4 } as const;
  const config = trainConfigSchema.parse({ adapter, maxSteps: 1, batch: 2, context: 64, ...rest });
  const { ended } = await core.runs.start({ name, model, dataset: 'sums', config });
  const run = await ended;
  expect(run.error).toBeNull();
  return run;
}

const settings = { limit: 6, shots: 0, maxTokens: 4, seed: 0, precision: 'f32' } as const;
const score = (model: string, adapter: string | null = null) =>
  core.evaluations.start(
    { ...settings, model, adapter, benchmark: 'perplexity', data: { path: dataFile } },
    neverAborted,
  );

describe('a tokenizer that is corrected in its folder', () => {
  it('makes other tokens of the same dataset, at once', async () => {
    const folder = await modelFolder('spelled');
    const right = await train('right', 'spelled');
    rewrite(folder, 'tokenizer.json', swapLetters);
    const spoilt = await train('spoilt', 'spelled');
    expect(Math.abs(spoilt.lastLoss! - right.lastLoss!)).toBeGreaterThan(0.001);
    rewrite(folder, 'tokenizer.json', swapLetters);
    const corrected = await train('corrected', 'spelled');
    expect(corrected.lastLoss).toBe(right.lastLoss);
  });

  it('is not the one that a run was trained with', async () => {
    const folder = await modelFolder('respelled');
    await train('before', 'respelled', { maxSteps: 2 });
    const first = await score('respelled');
    rewrite(folder, 'tokenizer.json', swapLetters);
    const second = await score('respelled');
    expect(second.id).not.toBe(first.id);
    expect(Math.abs(second.score - first.score)).toBeGreaterThan(0.01);
    const refused = { code: 'model_changed', message: expect.stringContaining('tokenizer.json') as string };
    await expect(score('respelled', 'before')).rejects.toMatchObject(refused);
    await expect(core.runs.resume('before', undefined, { maxSteps: 4 })).rejects.toMatchObject(refused);
    const folderOut = temporaryFolder();
    await expect(
      core.exports.create({ run: 'before', folder: folderOut }, neverAborted),
    ).rejects.toMatchObject(refused);
    cpSync(join(tinyLlama, 'tokenizer.json'), join(folder, 'tokenizer.json'));
    expect((await score('respelled', 'before')).n).toBe(6);
    expect((await score('respelled')).id).toBe(first.id);
  });
});

describe('another config.json beside the same weights', () => {
  it('is another model to score, though its weights are known', async () => {
    const [near, far] = [await modelFolder('near'), temporaryFolder()];
    cpSync(near, far, { recursive: true });
    rewrite(far, 'config.json', setTheta(10));
    await core.models.add({ folder: far, name: 'far', copy: false });
    const [one, other] = [await score('near'), await score('far')];
    expect(Math.abs(one.score - other.score)).toBeGreaterThan(0.01);
    rewrite(near, 'config.json', setTheta(10));
    const changed = await score('near');
    expect(changed.score).toBe(other.score);
    expect(changed.base).not.toBe(one.base);
  });

  it('ends what a run began: its checkpoint belongs to the other one', async () => {
    const folder = await modelFolder('turned');
    await train('begun', 'turned', { maxSteps: 2 });
    rewrite(folder, 'config.json', setTheta(10));
    const refused = { code: 'model_changed', message: expect.stringContaining('config.json') as string };
    await expect(core.runs.resume('begun', undefined, { maxSteps: 4 })).rejects.toMatchObject(refused);
    await expect(score('turned', 'begun')).rejects.toMatchObject(refused);
  });

  it('says what the model is: its entry follows', async () => {
    const folder = await modelFolder('longer');
    rewrite(folder, 'config.json', (json) => (json['max_position_embeddings'] = 128));
    expect((await core.models.use('longer')).contextLength).toBe(128);
    expect(core.models.get('longer').contextLength).toBe(128);
  });
});

it('a folder that is gone is said as such to whoever uses the model by its name', async () => {
  const folder = await modelFolder('moved');
  rmSync(folder, { recursive: true });
  await expect(core.models.getOrAdd('moved')).rejects.toMatchObject({
    code: 'not_found',
    message: `Its folder ${folder} is no longer there.`,
  });
});

describe('weights', () => {
  it('that were written anew are hashed again, and only those', async () => {
    const folder = await modelFolder('rewritten');
    const before = await core.models.use('rewritten');
    expect(await core.models.use('rewritten')).toEqual(before);
    const path = join(folder, 'model.safetensors');
    utimesSync(path, new Date(0), new Date(0));
    const touched = await core.models.use('rewritten');
    expect(touched).toEqual({ ...before, weightStamp: touched.weightStamp });
    expect(touched.weightStamp).not.toBe(before.weightStamp);

    const scored = await score('rewritten');
    const file = new SafetensorsFile(path, 'internal');
    const tensors = [...file.tensors.values()].map(({ name, dtype, shape }) => {
      const data = new Uint8Array(file.read(name));
      if (name === 'lm_head.weight') data.fill(0);
      return { name, dtype, shape, data };
    });
    file.close();
    writeSafetensors(path, tensors);
    const other = await score('rewritten');
    expect(other.score).toBeCloseTo(101, 3);
    expect(other.id).not.toBe(scored.id);
    expect(core.models.get('rewritten').contentHash).not.toBe(before.contentHash);
  });

  it('of a folder that is in the library already are not hashed for its path', async () => {
    const folder = await modelFolder('placed');
    const { id } = core.models.get('placed');
    for (const typed of [folder, `"${folder}"`]) expect((await core.models.getOrAdd(typed)).id).toBe(id);
    expect((await core.models.add({ folder, copy: false })).id).toBe(id);
  });
});

it('other few-shot examples are another benchmark', async () => {
  const folder = temporaryFolder();
  const [test, solved] = [join(folder, 'test.jsonl'), join(folder, 'train.jsonl')];
  cpSync(dataFile, test);
  cpSync(dataFile, solved);
  await modelFolder('shown');
  const few = () =>
    core.evaluations.start(
      {
        ...settings,
        model: 'shown',
        adapter: null,
        benchmark: 'gsm8k',
        data: { path: test },
        limit: 1,
        shots: 1,
      },
      neverAborted,
    );
  const first = await few();
  expect((await few()).id).toBe(first.id);
  appendFileSync(solved, `${JSON.stringify({ question: 'What?', answer: 'That. #### 1' })}\n`);
  const second = await few();
  expect(second.id).not.toBe(first.id);
  expect(second.dataHash).not.toBe(first.dataHash);
});
