import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TrainConfigInput } from '../../../src-main/contract/training.ts';
import { listCheckpoints } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { rowsWithSpoilt, spoiltModel } from '../../support/faults/spoiltModel.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { checkpointFiles, lossesOf, trainTiny } from '../../support/trainingRun.ts';

const lora: TrainConfigInput = {
  adapter: { method: 'lora', rank: 4, alpha: 8, dropout: 0.1 },
  learningRate: 1e-2,
  schedule: 'constant',
  weightDecay: 0.01,
  maxSteps: 10,
  batch: 1,
  context: 32,
  seed: 5,
  heldOutRows: 0,
  checkpointEvery: 0,
};

const modelFolder = spoiltModel();
const rows = rowsWithSpoilt(5, [2]);

const stateOf = (checkpoint: string) =>
  JSON.parse(readFileSync(join(checkpoint, 'state.json'), 'utf8')) as Record<string, unknown>;

/** Parameters and the optimizer's state of a checkpoint. */
function learntIn(checkpoint: string): Record<string, string> {
  const { 'state.json': _progress, ...files } = checkpointFiles(checkpoint);
  expect(Object.keys(files)).toContain('optimizer.safetensors');
  return files;
}

describe.each<[string, Partial<TrainConfigInput>]>([
  ['AdamW', {}],
  ['AdamW without clipping', { clipNorm: null }],
  ['AdamW in bf16', { precision: 'bf16' }],
  ['AdamW with accumulation', { accumulate: 2 }],
  ['8-bit AdamW', { optimizer: 'adamw8bit', adapter: { method: 'lora', rank: 96, alpha: 96 } }],
  ['SGD with momentum', { optimizer: 'sgd', momentum: 0.9 }],
])('%s', (_name, changes) => {
  const config = { ...lora, ...changes };
  const train = (maxSteps: number, rest: Partial<Parameters<typeof trainTiny>[0]> = {}) =>
    trainTiny({ config: { ...config, maxSteps }, folder: temporaryFolder(), modelFolder, rows, ...rest });

  it('a row without finite loss is skipped in each epoch, changes nothing, and the rest is learnt', async () => {
    const [epochs, stepsPerEpoch] = config.accumulate === 2 ? [3, 3] : [2, 5];
    const steps = epochs * stepsPerEpoch;
    const { events, result } = await train(steps);
    const skipped = events.flatMap((event) => (event.type === 'skipped' ? [event] : []));
    expect(skipped).toHaveLength(epochs);
    expect(skipped[0]).toMatchObject({ reason: 'loss NaN', lr: 1e-2 });
    expect(result).toMatchObject({ outcome: 'done', step: steps, skippedSteps: epochs });
    expect(lossesOf(events)).toHaveLength(steps - epochs);
    expect(lossesOf(events).every(Number.isFinite)).toBe(true);

    const at = skipped.at(-1)!.step;
    const cut = temporaryFolder();
    const first = await trainTiny({
      config: { ...config, maxSteps: steps, checkpointEvery: 1 },
      folder: cut,
      modelFolder,
      rows,
      stopAfter: at,
    });
    const [before, after] = listCheckpoints(join(cut, 'checkpoints'));
    expect([before, after].map((path) => stateOf(path!)['step'])).toEqual([at - 1, at]);
    expect(learntIn(after!)).toEqual(learntIn(before!));
    const second = await train(steps, { folder: cut, resumeFrom: first.result.checkpoint });
    expect(second.result.skippedSteps).toBe(epochs);
    expect(checkpointFiles(second.result.checkpoint!)).toEqual(checkpointFiles(result.checkpoint!));
  });
});

it("a skipped step does not count in Adam's bias correction: without the row, in the same order, all is equal", async () => {
  const config = { ...lora, adapter: { ...lora.adapter, dropout: 0 }, batch: 5, maxSteps: 3 };
  const good = rowsWithSpoilt(5, []);
  const exact = await trainTiny({ config, folder: temporaryFolder(), modelFolder, rows: good });
  // A first step that is skipped and then the same three: the batch is all rows, whatever their order.
  const folder = temporaryFolder();
  const skippedFirst = await trainTiny({
    config: { ...config, maxSteps: 1 },
    folder,
    modelFolder,
    rows: rowsWithSpoilt(5, [0]),
  });
  expect(skippedFirst.result).toMatchObject({ step: 1, skippedSteps: 1, lastLoss: null });
  expect(stateOf(skippedFirst.result.checkpoint!)).toMatchObject({ lastLoss: null, skippedInARow: 1 });
  // Other rows are refused: the checkpoint is made one of the rows that it goes on with.
  const { fingerprint, rowsSha256 } = stateOf(exact.result.checkpoint!);
  writeFileSync(
    join(skippedFirst.result.checkpoint!, 'state.json'),
    JSON.stringify({ ...stateOf(skippedFirst.result.checkpoint!), fingerprint, rowsSha256 }),
  );
  const resumed = await trainTiny({
    config: { ...config, maxSteps: 4 },
    folder,
    modelFolder,
    rows: good,
    resumeFrom: skippedFirst.result.checkpoint,
  });
  lossesOf(resumed.events).forEach((loss, i) => expect(loss).toBeCloseTo(lossesOf(exact.events)[i]!, 5));
});

describe('parameters that overflow', () => {
  const overflowing: TrainConfigInput = {
    ...lora,
    adapter: { ...lora.adapter, alpha: 1e18, dropout: 0 },
    learningRate: 10,
    batch: 3,
    weightDecay: 0,
    clipNorm: null,
    maxSteps: 400,
  };

  it.each(['f32', 'bf16'] as const)(
    '%s: training ends after three skipped steps with the last state that was good',
    async (precision) => {
      const folder = temporaryFolder();
      await expect(trainTiny({ config: { ...overflowing, precision }, folder })).rejects.toMatchObject({
        code: 'loss_not_finite',
        message: expect.stringMatching(
          /At step \d+ the loss is .* \(learning rate 10\); 3 steps in a row/,
        ) as string,
        remedy: expect.stringMatching(/state of step \d+, before them, is kept/) as string,
      });
      const checkpoints = listCheckpoints(join(folder, 'checkpoints'));
      expect(checkpoints).toHaveLength(1);
      const state = stateOf(checkpoints[0]!) as { step: number; skippedInARow: number; lastLoss: number };
      expect(state.skippedInARow).toBe(0);
      expect(Number.isFinite(state.lastLoss)).toBe(true);
      const adapter = readFileSync(join(checkpoints[0]!, 'adapter', 'adapter_model.safetensors'));
      const header = Number(adapter.readBigUInt64LE(0));
      const values = new Float32Array(
        adapter.buffer.slice(adapter.byteOffset + 8 + header, adapter.byteOffset + adapter.byteLength),
      );
      expect(values.every(Number.isFinite)).toBe(true);
    },
  );

  it('says so where no step before them changed anything', async () => {
    await expect(
      trainTiny({
        config: { ...lora, batch: 5 },
        folder: temporaryFolder(),
        modelFolder,
        rows: rowsWithSpoilt(5, [0]),
      }),
    ).rejects.toMatchObject({
      code: 'loss_not_finite',
      remedy: expect.stringMatching(/^No step could be applied .* weights of the model/) as string,
    });
  });
});
