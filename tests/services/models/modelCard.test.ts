import { cpSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

describe('the card of a model', () => {
  let core: Core;
  let home: string;
  beforeAll(() => {
    ({ core, home } = openTestCore());
  });
  afterAll(() => core.close());

  it('says licence, template, files and end token', async () => {
    const folder = join(temporaryFolder(), 'mine');
    cpSync(tinyLlama, folder, { recursive: true });
    writeFileSync(join(folder, 'README.md'), '---\nlicense: mit\n---\n');
    writeFileSync(join(folder, 'chat_template.jinja'), '{{ messages }}');
    const model = await core.models.add({ folder, copy: true });
    const card = await core.models.card(model.id);
    expect(card).toMatchObject({
      unusable: null,
      licence: { name: 'mit' },
      chatTemplate: { text: '{{ messages }}' },
    });
    expect(card.bosId).toBeTypeOf('number');
    expect(card.files.find(({ name }) => name === 'model.safetensors')!.sizeBytes).toBe(model.sizeBytes);
  });

  it('says why a model cannot be used any more', async () => {
    const folder = join(temporaryFolder(), 'damaged');
    cpSync(tinyLlama, folder, { recursive: true });
    const model = await core.models.add({ folder, copy: false });
    truncateSync(join(folder, 'model.safetensors'), 5000);
    expect((await core.models.card(model.id)).unusable).toMatchObject({
      message: expect.stringMatching(/truncated/) as string,
    });
    rmSync(folder, { recursive: true });
    expect(await core.models.card(model.id)).toMatchObject({ unusable: { code: 'not_found' }, files: [] });
  });

  it('counts what removing deletes, and says what stays', async () => {
    const copy = core.models.list().find(({ copied }) => copied)!;
    const placed = await core.models.add({ folder: join(fixtures, 'tiny-qwen3'), copy: false });
    const removal = await core.models.removal(copy.id);
    const { files } = await core.models.card(copy.id);
    expect(removal).toEqual({
      deletes: {
        folder: copy.folder,
        files: files.length,
        sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      },
      keeps: null,
      runs: [],
    });
    expect(await core.models.removal(placed.id)).toEqual({ deletes: null, keeps: placed.folder, runs: [] });
    expect((await core.models.storage()).modelsBytes).toBe(removal.deletes!.sizeBytes);
    core.models.remove(copy.id);
    expect((await core.models.storage()).modelsBytes).toBe(0);
  });

  it('keeps a model that a run of another project needs', async () => {
    const model = core.models.get('tiny-qwen3');
    core.close();
    const other = createCore({ home, project: 'other', mode: 'write' });
    const dataFile = join(home, 'sums.jsonl');
    const started = other.runs.start({
      name: 'theirs',
      model: model.id,
      dataset: dataFile,
      // A context in which no answer fits: the run exists, and has failed before an engine starts.
      config: trainConfigSchema.parse({ adapter: { method: 'lora', rank: 2, alpha: 4 }, context: 8 }),
    });
    await started.catch(() => null);
    const kept = other.runs.list();
    other.close();
    core = createCore({ home, project: 'default', mode: 'write' });
    expect(kept).toHaveLength(1);
    expect((await core.models.removal(model.id)).runs).toEqual([
      { id: kept[0]!.id, name: 'theirs', project: 'other' },
    ]);
    expect(() => core.models.remove(model.id)).toThrow(/of the project "other"/);
    expect(core.models.list()).toHaveLength(2);
  });
});

describe('the weights of a model', () => {
  it('are listed by name, and counted in a thread that can be ended', async () => {
    const { core } = openTestCore();
    const model = await core.models.add({ folder: tinyLlama, copy: false });
    const tensors = core.models.tensors(model.id);
    const sizes = tensors.map(({ shape }) => shape.reduce((a, b) => a * b));
    expect(sizes.reduce((a, b) => a + b)).toBe(model.parameters);
    const tensor = 'model.embed_tokens.weight';
    const { values, range } = await core.models.histogram(model.id, tensor, neverAborted);
    expect(values.count).toBe(model.vocabularySize * model.hiddenSize);
    expect(range!.deviation).toBeGreaterThan(0);
    await expect(core.models.histogram(model.id, 'none', neverAborted)).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(core.models.histogram(model.id, tensor, AbortSignal.abort())).rejects.toMatchObject({
      code: 'cancelled',
    });
    core.close();
  });
});
