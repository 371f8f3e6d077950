import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { listCheckpoints } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { checkpointFiles, lossesOf, trainTiny } from '../../support/trainingRun.ts';

const lora: TrainConfigInput = {
  adapter: { method: 'lora', rank: 4, alpha: 8, dropout: 0.1 },
  learningRate: 1e-2,
  schedule: 'cosine',
  warmupSteps: 2,
  weightDecay: 0.01,
  maxSteps: 12,
  batch: 3,
  context: 32,
  seed: 5,
  evalEvery: 4,
  checkpointEvery: 0,
};
const idLora: TrainConfigInput = {
  ...lora,
  adapter: { method: 'idlora', rank: 4, alpha: 8, dropout: 0.1, clusters: 3, boost: 2 },
};

describe.each([
  ['LoRA', lora],
  ['ID-LoRA', idLora],
  ['LoRA with accumulation', { ...lora, accumulate: 2, batch: 2 }],
  ['ID-LoRA with packing', { ...idLora, packing: true, batch: 2, context: 40 }],
  ['LoRA in bf16', { ...lora, precision: 'bf16' as const }],
])('%s', (_name, config) => {
  it('resumed from a checkpoint equals the uninterrupted run bit for bit, and the same seed repeats it', async () => {
    const [whole, cut] = [temporaryFolder(), temporaryFolder()];
    const uninterrupted = await trainTiny({ config, folder: whole });
    expect(uninterrupted.result.outcome).toBe('done');

    const first = await trainTiny({ config, folder: cut, stopAfter: 5 });
    expect(first.result).toMatchObject({ outcome: 'stopped', step: 5 });
    const second = await trainTiny({ config, folder: cut, resumeFrom: first.result.checkpoint });
    expect(second.events.find((event) => event.type === 'start')).toMatchObject({ firstStep: 6 });

    expect([...lossesOf(first.events), ...lossesOf(second.events)]).toEqual(lossesOf(uninterrupted.events));
    expect(checkpointFiles(second.result.checkpoint!)).toEqual(
      checkpointFiles(uninterrupted.result.checkpoint!),
    );
  });
});

it('the loss falls, is evaluated on held-out rows, and trainable parameters are counted from the graph', async () => {
  const { events } = await trainTiny({
    config: { ...idLora, maxSteps: 30, schedule: 'constant' },
    folder: temporaryFolder(),
  });
  const curve = lossesOf(events);
  expect(curve.at(-1)!).toBeLessThan(curve[0]! - 0.3);
  // Per layer: q, o 24*2+3*48; k, v 12*2+3*48; gate, up 40*2+3*48; down 24*2+3*80.
  expect(events.find((event) => event.type === 'start')).toMatchObject({
    trainable: 2 * (2 * 192 + 2 * 168 + 2 * 224 + 288),
    frozenExtra: 2 * 12 * (6 * 48 + 80),
  });
  const evaluations = events.filter((event) => event.type === 'eval');
  expect(evaluations.length).toBe(8);
  expect(evaluations[0]).toMatchObject({ rows: 5 });
});

it('XLA functions compute the same training as single operations', async () => {
  const config = { ...idLora, maxSteps: 4 };
  const plain = await trainTiny({ config, folder: temporaryFolder() });
  const compiled = await trainTiny({ config, folder: temporaryFolder(), fusion: true });
  lossesOf(compiled.events).forEach((loss, i) => expect(loss).toBeCloseTo(lossesOf(plain.events)[i]!, 4));
});

it('keeps the two latest checkpoints, each complete, and nothing half-written', async () => {
  const folder = temporaryFolder();
  await trainTiny({ config: { ...lora, maxSteps: 9, checkpointEvery: 2 }, folder });
  expect(listCheckpoints(join(folder, 'checkpoints')).map((path) => path.slice(-2))).toEqual(['08', '09']);
  expect(readdirSync(join(folder, 'checkpoints')).length).toBe(2);
});

it('stops at a loss that is not finite, names the step and leaves the last checkpoint as it is', async () => {
  const folder = temporaryFolder();
  const config = {
    ...lora,
    learningRate: 10,
    clipNorm: null,
    warmupSteps: 0,
    weightDecay: 0,
    maxSteps: 400,
    checkpointEvery: 1,
    schedule: 'constant' as const,
  };
  const config2 = { ...config, adapter: { ...lora.adapter, alpha: 1e18, dropout: 0 } };
  await expect(trainTiny({ config: config2, folder })).rejects.toMatchObject({
    code: 'loss_not_finite',
    message: expect.stringMatching(/At step \d+ the loss is/) as string,
    remedy: expect.stringMatching(/learning rate/) as string,
  });
  const [last] = listCheckpoints(join(folder, 'checkpoints')).slice(-1);
  const state = JSON.parse(readFileSync(join(last!, 'state.json'), 'utf8')) as { lastLoss: number };
  expect(Number.isFinite(state.lastLoss)).toBe(true);
});

it('refuses to resume with another configuration', async () => {
  const folder = temporaryFolder();
  const { result } = await trainTiny({ config: { ...lora, maxSteps: 3 }, folder });
  await expect(
    trainTiny({ config: { ...lora, batch: 2, maxSteps: 4 }, folder, resumeFrom: result.checkpoint }),
  ).rejects.toMatchObject({ code: 'config_invalid' });
});

it('writes a checkpoint every ten minutes, whatever the number of steps, and keeps the latest', async () => {
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  const folder = temporaryFolder();
  const { events } = await trainTiny({
    config: { ...lora, maxSteps: 8, checkpointEvery: 0 },
    folder,
    stopOn(event) {
      if (event.type === 'step') now += 4 * 60_000;
      return false;
    },
  });
  clock.mockRestore();
  expect(events.flatMap((event) => (event.type === 'checkpoint' ? [event.step] : []))).toEqual([3, 6, 8]);
  expect(listCheckpoints(join(folder, 'checkpoints'))).toHaveLength(1);
});
