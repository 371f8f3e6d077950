import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countParameters } from '../../../src-main/budget/count.ts';
import { methods, trainConfigSchema, type Method } from '../../../src-main/contract/training.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { openAdapterFolder } from '../../../src-main/formats/adapter/peftAdapter.ts';
import { adapterFolderOf, parityCases } from '../../support/parity/parityCase.ts';
import { fixtures } from '../../support/paths.ts';
import { floats } from '../../support/parity/recordedValues.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { lossesOf, trainTiny } from '../../support/trainingRun.ts';

/** Their layers are those of another model: they differ in rotary frequencies or in how their files are cut. */
const alike = /^tiny-(llama-(dynamic|linear|sharded|yarn|yarn-all)|phi3-long)$/;
const models = readdirSync(fixtures).filter(
  (name) => existsSync(join(fixtures, name, 'config.json')) && !alike.test(name),
);

/** tests/parity compares these with PyTorch, gradient by gradient. */
const compared = new Set(
  parityCases.map(({ name, model }) => {
    const folder = adapterFolderOf(name);
    if (folder === null) return `${model} full`;
    const { config, tensors } = openAdapterFolder(folder);
    tensors.close();
    return `${model} ${config.method}`;
  }),
);
const others = models.flatMap((model) =>
  methods.filter((method) => !compared.has(`${model} ${method}`)).map((method) => [model, method] as const),
);

/** Loss of the first step: that of the base, whatever the method. */
const firstLosses = new Map<string, number>();

describe('every method on every kind of model, where tests/parity has no case', () => {
  it.each(others)('%s trains with %s, from the loss of the base on', async (model, method: Method) => {
    const modelFolder = join(fixtures, model);
    const config = trainConfigSchema.parse({
      adapter: { method, rank: 2, alpha: 4, clusters: 2 },
      maxSteps: 3,
      batch: 2,
      context: 32,
      schedule: 'constant',
      learningRate: 1e-2,
    });
    const { events, result } = await trainTiny({ config, folder: temporaryFolder(), modelFolder });
    const { trainable } = countParameters(readDecoderConfig(modelFolder), config.adapter);
    expect(events.find(({ type }) => type === 'start')).toMatchObject({ trainable });
    const losses = lossesOf(events);
    expect(losses).toHaveLength(3);
    const base = firstLosses.get(model) ?? losses[0]!;
    firstLosses.set(model, base);
    expect(Math.abs(losses[0]! / base - 1)).toBeLessThan(1e-5);
    // The batches differ from step to step, and so do the losses.
    for (const loss of losses) expect(Math.abs(loss / base - 1)).toBeLessThan(0.5);
    const { tensors } = openAdapterFolder(join(result.checkpoint!, 'adapter'));
    const updates = [...tensors.tensors.keys()].filter((key) => key.includes('_B.'));
    expect(updates.length).toBeGreaterThan(0);
    for (const key of updates) expect(floats(tensors, key), key).not.toContain(0);
    tensors.close();
  });
});
