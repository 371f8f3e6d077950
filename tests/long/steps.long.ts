import { join } from 'node:path';
import { expect, it } from 'vitest';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { llamaTraits } from '../../src-main/engine/bench/randomModel.ts';
import { createEngineHost } from '../../src-main/engine/process/supervisor.ts';
import { writeRandomModel } from '../support/measuredTraining.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { writeRandomRows } from '../support/trainingRun.ts';

/* Ten thousand steps in one engine: memory, and the time of a step, must not grow. */
const steps = Number(process.env['STEPS'] ?? 10_000);

it(`${steps} steps with checkpoints and held-out rows: neither memory nor the time of a step grows`, async () => {
  const folder = temporaryFolder();
  const [model, rows, heldOut] = ['model', 'train.tokens', 'held-out.tokens'].map((name) =>
    join(folder, name),
  );
  // Wide enough for elementwise work to be compiled.
  const shape = {
    hiddenSize: 512,
    intermediateSize: 512,
    layers: 1,
    heads: 8,
    keyValueHeads: 2,
    headDim: 64,
    vocabularySize: 128,
    tieEmbeddings: true,
    ...llamaTraits,
  };
  writeRandomModel(model!, shape, 128);
  writeRandomRows(rows!, 300, 1);
  writeRandomRows(heldOut!, 20, 2);
  const config = trainConfigSchema.parse({
    adapter: { method: 'idlora', rank: 8, alpha: 16 },
    precision: 'bf16',
    batch: 4,
    accumulate: 2,
    context: 64,
    maxSteps: steps,
    learningRate: 1e-4,
    evalEvery: 500,
    checkpointEvery: 500,
  });
  const memory: number[] = [];
  const times: number[] = [];
  const host = createEngineHost();
  try {
    await host.start(
      {
        kind: 'train',
        modelFolder: model!,
        trainFile: rows!,
        heldOutFile: heldOut!,
        config,
        checkpointFolder: join(folder, 'checkpoints'),
        cacheFolder: join(folder, 'cache'),
        resumeFrom: null,
      },
      {
        onEvent(event) {
          if (event.type !== 'step') return;
          memory.push(event.memoryBytes ?? 0);
          times.push(performance.now());
        },
      },
    ).result;
  } finally {
    host.close();
  }
  expect(memory.length).toBe(steps);
  /** Of the tenth of all steps that begins at a share of them. */
  const tenth = (values: readonly number[], share: number) =>
    values.slice(share * steps, (share + 0.1) * steps).toSorted((a, b) => a - b)[Math.floor(steps / 20)]!;
  const gaps = times.map((time, i) => time - (times[i - 1] ?? time));
  // Heaps settle within the first half.
  const grown = tenth(memory, 0.9) / tenth(memory, 0.5);
  const slower = tenth(gaps, 0.9) / tenth(gaps, 0.1);
  console.log(
    `memory of the second, sixth and last tenth: ${[0.1, 0.5, 0.9].map((share) => (tenth(memory, share) / 1e6).toFixed(1)).join(', ')} MB; ` +
      `a step ${tenth(gaps, 0.1).toFixed(2)} and ${tenth(gaps, 0.9).toFixed(2)} ms (x ${slower.toFixed(3)})`,
  );
  expect(grown).toBeLessThan(1.005);
  expect(tenth(memory, 0.9) / tenth(memory, 0.1)).toBeLessThan(1.03);
  // By the clock: other work on the machine counts.
  expect(slower).toBeLessThan(1.5);
});
