import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { checkpointDisk } from '../../../src-main/budget/forecast/disk.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import { createCore } from '../../../src-main/core/createCore.ts';
import { listCheckpoints } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { readDecoderConfig } from '../../../src-main/formats/families/huggingFaceConfig.ts';
import { writeGeneratedDataset } from '../../fixtures/generatedDataset.ts';
import { filesIn, totalBytes } from '../../../src-main/services/machine/disk.ts';
import { smallDisk } from '../../support/faults/smallDisk.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';
import { trainTiny } from '../../support/trainingRun.ts';

const kinds: [string, TrainConfigInput][] = [
  ['a full fine-tune', { adapter: { method: 'full', rank: 1, alpha: 1 }, maxSteps: 1 }],
  ['LoRA', { adapter: { method: 'lora', rank: 16, alpha: 8 }, maxSteps: 1 }],
  [
    'LoRA with momentum alone',
    { adapter: { method: 'lora', rank: 16, alpha: 8 }, maxSteps: 1, optimizer: 'sgd', momentum: 0.9 },
  ],
];

it.each(kinds)('foresees the bytes of a checkpoint of %s', async (_, config) => {
  const folder = temporaryFolder();
  await trainTiny({ config, folder });
  const [checkpoint] = listCheckpoints(join(folder, 'checkpoints'));
  const { each } = checkpointDisk(readDecoderConfig(tinyLlama), trainConfigSchema.parse(config));
  // Headers, the tokenizer and the configuration come on top: kilobytes, whatever the size of the model.
  const weights = readdirSync(checkpoint!, { recursive: true, withFileTypes: true }).filter(({ name }) =>
    name.endsWith('.safetensors'),
  );
  expect(weights).toHaveLength(2);
  const bytes = totalBytes(await filesIn(checkpoint!));
  expect(bytes).toBeGreaterThan(each);
  expect(bytes).toBeLessThan(each + 60_000);
});

it('counts the latest, the one that is being written, and the best', () => {
  const shape = readDecoderConfig(tinyLlama);
  const disk = (rest: TrainConfigInput) => checkpointDisk(shape, trainConfigSchema.parse(rest)).atOnce;
  const adapter = { method: 'lora', rank: 4, alpha: 8 } as const;
  expect(disk({ adapter, checkpointEvery: 10 })).toBe(3);
  expect(disk({ adapter, checkpointEvery: 10, keepBest: true })).toBe(4);
  expect(disk({ adapter, checkpointEvery: 0 })).toBe(2);
});

const disk = smallDisk(1500);
afterAll(() => {
  if (disk) execFileSync('umount', ['-l', disk]);
});

it.skipIf(disk === null)('refuses a run whose checkpoints do not fit, before it trains', async () => {
  const core = createCore({ home: disk!, project: 'default', mode: 'write' });
  const small = join(temporaryFolder(), 'small.jsonl');
  writeGeneratedDataset(small, 60, 1);
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  await core.datasets.add({ path: small, name: 'small', format: 'auto' });
  const start = async (name: string, method: 'full' | 'lora') =>
    (
      await core.runs.start({
        name,
        model: 'tiny',
        dataset: 'small',
        config: trainConfigSchema.parse({ adapter: { method, rank: 2, alpha: 8 }, maxSteps: 2 }),
      })
    ).ended;
  const refused = await start('large', 'full');
  expect(refused).toMatchObject({ state: 'failed', step: 0, error: { code: 'disk_full' } });
  expect(refused.error!.message).toMatch(
    /^The run's checkpoints need 0\.\d+ GB \(3 of 0\.\d+ GB at a time\); 0\.00\d GB are free at /,
  );
  expect(await start('small', 'lora')).toMatchObject({ state: 'done', step: 2 });
  core.close();
});
