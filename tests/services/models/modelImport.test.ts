import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import { modelFileNames } from '../../../src-main/formats/model/modelFiles.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { findModelFolder } from '../../../src-main/services/models/findModelFolder.ts';
import { hashWeights } from '../../../src-main/services/models/modelImport.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const sharded = join(fixtures, 'tiny-llama-sharded');

it('hashes shards as the engine does', async () => {
  const weights = new WeightFolder(sharded);
  const hash = await hashWeights(weights.paths, { onBytes: () => {}, signal: neverAborted });
  expect(hash).toBe(weights.contentHash());
  weights.close();
});

it('names the files of a model and nothing else of its folder', () => {
  const folder = join(temporaryFolder(), 'model');
  cpSync(tinyLlama, folder, { recursive: true });
  for (const name of ['LICENSE', 'README.md', 'notes.txt', 'other.safetensors', 'training_args.json'])
    writeFileSync(join(folder, name), 'x');
  mkdirSync(join(folder, 'onnx'));
  expect(modelFileNames(folder)).toEqual([
    'LICENSE',
    'README.md',
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);
});

describe('a folder without a model says what lies there and what to do', () => {
  const refusal = (folder: string): unknown => {
    try {
      return findModelFolder(folder);
    } catch (error) {
      return error;
    }
  };

  it('an empty folder', () => {
    expect(refusal(temporaryFolder())).toMatchObject({
      code: 'model_invalid',
      message: expect.stringMatching(/holds no model: it is empty/) as string,
    });
  });

  it('a folder of models', () => {
    const folder = temporaryFolder();
    cpSync(tinyLlama, join(folder, 'inner'), { recursive: true });
    expect(refusal(folder)).toMatchObject({ remedy: 'Choose a folder inside it: inner.' });
  });

  it('a file, nothing', () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'model.bin'), '');
    expect(refusal(join(folder, 'model.bin'))).toMatchObject({
      remedy: expect.stringMatching(/or a file that ends with \.gguf\.$/) as string,
      message: expect.stringMatching(/is a file/) as string,
    });
    expect(refusal(join(folder, 'none'))).toMatchObject({ code: 'not_found' });
  });
});

describe('adding models', () => {
  let core: Core;
  let home: string;
  const events: StudioEvent[] = [];
  beforeAll(() => {
    ({ core, home } = openTestCore());
    core.events.subscribe(null, ({ event }) => events.push(event));
  });
  afterAll(() => core.close());

  it('copies what links point to, with progress in bytes', async () => {
    const folder = join(temporaryFolder(), 'linked');
    mkdirSync(folder);
    for (const name of readdirSync(sharded)) symlinkSync(join(sharded, name), join(folder, name));
    const model = await core.models.add({ folder, copy: true });
    expect(readdirSync(model.folder)).toEqual(modelFileNames(sharded));
    expect(model.folder.startsWith(join(home, 'models'))).toBe(true);
    const copying = events.filter(
      (event) => event.type === 'progress' && event.label === 'Copying the model',
    );
    expect(copying.at(-1)).toMatchObject({ unit: 'bytes', secondsLeft: 0 });
    const last = copying.at(-1) as { done: number; total: number };
    expect(last.done).toBe(last.total);
    expect(last.total).toBeGreaterThan(model.sizeBytes);
    core.models.remove(model.id);
    core.trash.empty();
    expect(readdirSync(join(home, 'models'))).toEqual([]);
  });

  it('leaves nothing when it is cancelled', async () => {
    for (const copy of [false, true]) {
      const adding = core.models.add({ folder: sharded, copy }, AbortSignal.abort());
      await expect(adding).rejects.toMatchObject({ code: 'cancelled' });
    }
    expect(core.models.list()).toEqual([]);
    expect(readdirSync(join(home, 'models'))).toEqual([]);
  });

  it('gives two models of one name that are added at the same time different names', async () => {
    const added = await Promise.all([
      core.models.add({ folder: tinyLlama, copy: true }),
      core.models.add({ folder: tinyLlama, copy: true }),
    ]);
    expect(added.map(({ name }) => name).toSorted()).toEqual(['tiny-llama', 'tiny-llama-2']);
    for (const { id } of added) core.models.remove(id);
    core.trash.empty();
  });

  it('says of a model that its folder has gone, and takes it back when it is there again', async () => {
    const folder = join(temporaryFolder(), 'mine');
    cpSync(tinyLlama, folder, { recursive: true });
    const { id } = await core.models.add({ folder, copy: false });
    expect(core.models.get(id).unusable).toBeNull();
    renameSync(folder, `${folder}-away`);
    expect(core.models.list()[0]).toMatchObject({ unusable: { code: 'not_found' } });
    renameSync(`${folder}-away`, folder);
    expect(core.models.get(id).unusable).toBeNull();
    core.models.remove(id);
    core.trash.empty();
    expect(existsSync(folder)).toBe(true);
  });

  it('finds a model again that was moved, with its runs, under its name or another', async () => {
    const folder = join(temporaryFolder(), 'mine');
    cpSync(tinyLlama, folder, { recursive: true });
    const { id } = await core.models.add({ folder, copy: false });
    const moved = `${folder}-away`;
    renameSync(folder, moved);
    const again = await core.models.add({ folder: moved, copy: false });
    expect(again).toMatchObject({ id, name: 'mine', folder: moved, unusable: null });
    expect(core.models.list()).toEqual([again]);

    // Where it is still there, the same weights are another entry.
    cpSync(moved, folder, { recursive: true });
    const second = await core.models.add({ folder, copy: false });
    expect(second).toMatchObject({ name: 'mine-2', folder });
    core.models.remove(second.id);

    rmSync(moved, { recursive: true });
    const copied = await core.models.add({ folder, copy: true, name: 'kept' });
    expect(copied).toMatchObject({ id, name: 'kept', copied: true, unusable: null });
    expect(core.models.list()).toEqual([copied]);

    // Other weights, or another config.json for them, are another model.
    rmSync(copied.folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as object;
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 48 }));
    const other = await core.models.add({ folder, copy: false });
    expect(other.id).not.toBe(id);
    for (const model of core.models.list()) core.models.remove(model.id);
    core.trash.empty();
  });

  it('clears what a process left that died while it copied', () => {
    const left = join(home, 'models', 'abc.partial');
    mkdirSync(left, { recursive: true });
    core.close();
    core = createCore({ home, project: 'default', mode: 'write' });
    expect(existsSync(left)).toBe(false);
  });
});
