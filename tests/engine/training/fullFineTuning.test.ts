import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { baseParameters } from '../../../src-main/shape/modelShape.ts';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { asFloat32 } from '../../../src-main/formats/files/floats.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { WeightFolder } from '../../../src-main/formats/model/weightFolder.ts';
import { fixtures, tinyLlama } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { checkpointFiles, lossesOf, storedInHalf, trainTiny } from '../../support/trainingRun.ts';

const full: TrainConfigInput = {
  adapter: { method: 'full', rank: 1, alpha: 1 },
  learningRate: 2e-3,
  schedule: 'cosine',
  warmupSteps: 2,
  weightDecay: 0.01,
  maxSteps: 8,
  batch: 3,
  context: 32,
  seed: 5,
  checkpointEvery: 0,
};

describe.each<[string, TrainConfigInput, () => string]>([
  ['a separate head', full, () => tinyLlama],
  ['a tied head and biases', full, () => join(fixtures, 'tiny-qwen2')],
  ['bf16, on weights stored in BF16', { ...full, precision: 'bf16' }, () => storedInHalf('BF16')],
  [
    'accumulation, and moments in 8 bits',
    { ...full, optimizer: 'adamw8bit', accumulate: 2, batch: 2 },
    () => tinyLlama,
  ],
])('%s', (_name, config, modelOf) => {
  it('resumed from a checkpoint equals the uninterrupted run bit for bit', async () => {
    const [whole, cut, modelFolder] = [temporaryFolder(), temporaryFolder(), modelOf()];
    const uninterrupted = await trainTiny({ config, folder: whole, modelFolder });
    const first = await trainTiny({ config, folder: cut, modelFolder, stopAfter: 5 });
    const resumeFrom = first.result.checkpoint;
    const second = await trainTiny({ config, folder: cut, modelFolder, resumeFrom });

    expect([...lossesOf(first.events), ...lossesOf(second.events)]).toEqual(lossesOf(uninterrupted.events));
    expect(checkpointFiles(second.result.checkpoint!)).toEqual(
      checkpointFiles(uninterrupted.result.checkpoint!),
    );
  });
});

it('moves every tensor, counts what it trains, and keeps a complete model with f32 masters', async () => {
  const modelFolder = storedInHalf('BF16');
  const config = { ...full, precision: 'bf16' as const, maxSteps: 20, schedule: 'constant' as const };
  const { events, result } = await trainTiny({ config, folder: temporaryFolder(), modelFolder });
  const losses = lossesOf(events);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! - 1);
  const count = baseParameters(readDecoderConfig(tinyLlama));
  expect(events.find(({ type }) => type === 'start')).toMatchObject({
    trainable: count,
    base: count,
    frozenExtra: 0,
  });

  const folder = join(result.checkpoint!, 'model');
  expect(readdirSync(folder).toSorted()).toEqual(readdirSync(modelFolder).toSorted());
  expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({ dtype: 'float32' });
  const [before, after] = [new WeightFolder(modelFolder), new WeightFolder(folder)];
  expect(after.names.toSorted()).toEqual(before.names.toSorted());
  for (const name of after.names) {
    expect(after.info(name)).toMatchObject({ dtype: 'F32', shape: before.info(name)!.shape });
    const old = asFloat32(before.read(name), 'BF16');
    const moved = asFloat32(after.read(name), 'F32').filter((value, i) => value !== old[i]).length;
    expect(moved / old.length, name).toBeGreaterThan(0.9);
  }
  after.close();
  before.close();
});

it('leaves a model alone that it cannot continue from', async () => {
  const folder = temporaryFolder();
  const { result } = await trainTiny({ config: { ...full, maxSteps: 3 }, folder });
  const other = join(fixtures, 'tiny-qwen2');
  await expect(
    trainTiny({ config: full, folder, modelFolder: other, resumeFrom: result.checkpoint }),
  ).rejects.toMatchObject({ code: 'model_invalid' });
  await expect(
    trainTiny({ config: { ...full, batch: 2 }, folder, resumeFrom: result.checkpoint }),
  ).rejects.toMatchObject({ code: 'config_invalid' });
});
