import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { median } from '../../src-main/budget/forecast/calibrate.ts';
import { trainingMemory } from '../../src-main/budget/forecast/memory.ts';
import type { ModelShape } from '../../src-main/shape/modelShape.ts';
import type { TrainConfigInput } from '../../src-main/contract/training.ts';
import { measureTraining, writeRandomModel, writeRandomNf4Model } from '../support/measuredTraining.ts';
import { projectFolder } from '../support/paths.ts';

/*
 * Forecasts against real trainings: methods, batches, contexts, precisions, checkpointing and optimizers on two models
 * of random weights. Each is probed and then trained. Memory may be measured at any load; times only say something on a
 * machine that does nothing else.
 */
const { shapes, runs } = JSON.parse(
  readFileSync(join(projectFolder, 'tests', 'budget', 'recorded', 'peaks.json'), 'utf8'),
) as { shapes: Record<string, ModelShape>; runs: { shape: string; config: TrainConfigInput }[] };

/** Llama 3 8B, random. */
const eightBillion: ModelShape = {
  ...shapes['mid']!,
  hiddenSize: 4096,
  intermediateSize: 14_336,
  layers: 32,
  heads: 32,
  keyValueHeads: 8,
  headDim: 128,
  vocabularySize: 128_256,
};
/** A context of 2,048 takes a good half hour a step; what grows with it is measured on the smaller models. */
const eightBillionContext = Number(process.env['FORECAST_8B_CONTEXT'] ?? 128);

const probeSteps = 4;
const runSteps = 8;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

it('peak memory within 15 % and time within 25 % after probing (medians)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-long-'));
  try {
    for (const [name, shape] of Object.entries(shapes)) writeRandomModel(join(folder, name), shape, 2048);
    const errors: { arithmetic: number; probed: number; time: number }[] = [];
    for (const { shape: name, config } of runs) {
      const shape = shapes[name]!;
      const measure = (maxSteps: number) =>
        measureTraining(join(folder, name), shape.vocabularySize, {
          learningRate: 1e-4,
          ...config,
          maxSteps,
        });
      const probe = await measure(probeSteps);
      const run = await measure(runSteps);
      const modelled = trainingMemory(shape, run.config, {
        batch: run.config.batch,
        tokens: run.config.context,
      });
      const share = (foreseen: number, measured: number) => Math.abs(foreseen / measured - 1);
      const error = {
        arithmetic: share(modelled.bytes, run.peakMemoryBytes),
        probed: share(probe.peakMemoryBytes, run.peakMemoryBytes),
        time: share(median(probe.steps.slice(1)), median(run.steps.slice(1))),
      };
      errors.push(error);
      const { adapter, batch, context, precision, gradientCheckpointing } = run.config;
      console.log(
        `${name} ${adapter.method} ${batch}x${context} ${precision}${gradientCheckpointing ? ' checkpointed' : ''}: ${Math.round(run.peakMemoryBytes / 2 ** 20)} MiB, off by ${percent(error.arithmetic)}, probed ${percent(error.probed)}, time ${percent(error.time)}`,
      );
    }
    const middle = (of: (error: (typeof errors)[number]) => number) => median(errors.map(of));
    console.log(
      `medians of ${errors.length}: arithmetic ${percent(middle(({ arithmetic }) => arithmetic))}, probed ${percent(middle(({ probed }) => probed))}, time ${percent(middle(({ time }) => time))}; load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} cores`,
    );
    expect(middle(({ arithmetic }) => arithmetic)).toBeLessThan(0.15);
    expect(middle(({ probed }) => probed)).toBeLessThan(0.15);
    expect(middle(({ time }) => time)).toBeLessThan(0.25);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

it('a model of eight billion parameters opens in four bits and trains within what is foreseen', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-long-'));
  try {
    writeRandomNf4Model(folder, eightBillion, 2048);
    const run = await measureTraining(folder, eightBillion.vocabularySize, {
      adapter: { method: 'lora', rank: 16, alpha: 32 },
      precision: 'bf16',
      loadIn4bit: true,
      gradientCheckpointing: true,
      optimizer: 'adamw8bit',
      learningRate: 1e-4,
      batch: 1,
      context: eightBillionContext,
      maxSteps: 2,
    });
    const { bytes } = trainingMemory(eightBillion, run.config, { batch: 1, tokens: eightBillionContext });
    console.log(
      `8B in NF4, context ${eightBillionContext}: ${Math.round(run.peakMemoryBytes / 2 ** 20)} MiB measured, ${Math.round(bytes / 2 ** 20)} foreseen; ${run.loadSeconds.toFixed(0)} s to the first step, steps of ${run.steps.map((step) => step.toFixed(1)).join(' and ')} s, losses ${run.losses.map((loss) => loss.toFixed(3)).join(' and ')}`,
    );
    expect(run.losses.every(Number.isFinite)).toBe(true);
    // 12 % more were measured (docs/performance.md); more than this would be another fault.
    expect(run.peakMemoryBytes).toBeLessThan(1.15 * bytes);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
