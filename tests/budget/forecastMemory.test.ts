import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { median, memoryFit } from '../../src-main/budget/forecast/calibrate.ts';
import { trainingMemory } from '../../src-main/budget/forecast/memory.ts';
import { stepWork } from '../../src-main/budget/forecast/time.ts';
import { presets, type ModelShape } from '../../src-main/shape/modelShape.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../src-main/contract/training.ts';
import { projectFolder } from '../support/paths.ts';

const config = (rest: Partial<TrainConfigInput> = {}) =>
  trainConfigSchema.parse({ adapter: { method: 'lora', rank: 16, alpha: 32 }, ...rest });
const llama = presets['llama-3.2-1b']!;
const layout = { batch: 4, tokens: 512 };

/** Peaks of real trainings (tests/long/forecast.long.ts prints such a table). */
const { shapes, runs } = JSON.parse(
  readFileSync(join(projectFolder, 'tests', 'budget', 'recorded', 'peaks.json'), 'utf8'),
) as {
  shapes: Record<string, ModelShape>;
  runs: { shape: string; config: TrainConfigInput; peakMemoryBytes: number }[];
};

describe('peak memory', () => {
  it('is within 15 % of what was measured, without any calibration', () => {
    const errors = runs.map((run) => {
      const parsed = trainConfigSchema.parse(run.config);
      const place = { batch: parsed.batch, tokens: parsed.context };
      return Math.abs(trainingMemory(shapes[run.shape]!, parsed, place).bytes / run.peakMemoryBytes - 1);
    });
    expect(errors.length).toBeGreaterThan(15);
    expect(median(errors)).toBeLessThan(0.08);
    expect(Math.max(...errors)).toBeLessThan(0.25);
  });

  it('has parts that add up, and states as large as they are', () => {
    const { parts, bytes } = trainingMemory(llama, config(), layout);
    expect(Object.values(parts).reduce((a, b) => a + b)).toBe(bytes);
    const full = trainingMemory(llama, config({ adapter: { method: 'full', rank: 1, alpha: 1 } }), layout);
    const base = 1_235_814_400;
    expect(full.parts).toMatchObject({
      weights: 4 * base,
      adapter: 0,
      gradients: 4 * base,
      optimizer: 8 * base,
    });
    const trainable = 16 * 16 * (2 * 4096 + 2 * 2560 + 3 * 10240);
    expect(parts.optimizer).toBe(8 * trainable);
    expect(trainingMemory(llama, config({ accumulate: 2 }), layout).parts.gradients).toBe(8 * trainable);
    const eight = trainingMemory(llama, config({ loadIn8bit: true }), layout).parts.weights;
    // A byte a number in linear modules and four for each of their rows; the rest as before.
    const rows =
      llama.layers *
      (2 * llama.hiddenSize +
        2 * llama.keyValueHeads * llama.headDim +
        2 * llama.intermediateSize +
        llama.hiddenSize);
    const linear =
      llama.layers *
      (2 * llama.hiddenSize ** 2 +
        2 * llama.hiddenSize * llama.keyValueHeads * llama.headDim +
        3 * llama.hiddenSize * llama.intermediateSize);
    expect(eight).toBe(parts.weights - 3 * linear + 4 * rows);
    const four = trainingMemory(llama, config({ loadIn4bit: true }), layout).parts.weights;
    // Half a byte a number, a byte a block of 64, four a group of 256 blocks and an offset for each module.
    const kept = linear * (1 / 2 + 1 / 64 + 4 / (64 * 256)) + 4 * 7 * llama.layers;
    expect(four).toBeCloseTo(parts.weights - 4 * linear + kept, -2);
    const small = trainingMemory(llama, config({ optimizer: 'adamw8bit' }), layout);
    expect(small.parts.optimizer / parts.optimizer).toBeCloseTo(0.254, 3);
  });

  it('foresees LoRA on an 8B model in 4 bits under 8 GB at a context of 2048', () => {
    const sparing = config({
      precision: 'bf16',
      loadIn4bit: true,
      gradientCheckpointing: true,
      optimizer: 'adamw8bit',
    });
    const eight = presets['llama-3-8b']!;
    const { parts, bytes } = trainingMemory(eight, sparing, { batch: 1, tokens: 2048 });
    expect(bytes).toBeLessThan(8e9);
    // The output head and norms in bf16; the embedding stays in its file, unless samples are decoded.
    const linear = 6_979_321_856;
    const table = 128_256 * 4096;
    expect(parts.weights / (linear * 0.5159 + 2 * table)).toBeCloseTo(1, 3);
    const samples = { prompts: ['Hello'] };
    const sampled = trainingMemory(
      eight,
      { ...sparing, ...config({ ...sparing, samples }) },
      { batch: 1, tokens: 2048 },
    );
    expect(sampled.parts.weights - parts.weights).toBe(2 * table);
  });

  it('falls with checkpointing and bf16, and grows with batch, context and what a method keeps', () => {
    const bytes = (rest: Partial<TrainConfigInput>, place = layout) =>
      trainingMemory(llama, config(rest), place).bytes;
    const plain = bytes({});
    expect(bytes({ gradientCheckpointing: true })).toBeLessThan(0.65 * plain);
    expect(bytes({ precision: 'bf16' })).toBeLessThan(0.7 * plain);
    expect(bytes({}, { batch: 8, tokens: 512 })).toBeGreaterThan(1.3 * plain);
    // Attention grows with the square of the context.
    const attention = (tokens: number) =>
      trainingMemory(llama, config(), { batch: 1, tokens }).parts.attention;
    expect(attention(4096) / attention(2048)).toBeGreaterThan(3);
    expect(bytes({ adapter: { method: 'dora', rank: 16, alpha: 32 } })).toBeGreaterThan(1.1 * plain);
    expect(bytes({ adapter: { method: 'lora', rank: 16, alpha: 32, dropout: 0.1 } })).toBeGreaterThan(plain);
  });

  it('fits up to three quarters, is tight up to all of it', () => {
    expect([75, 76, 100, 101].map((bytes) => memoryFit(bytes, 100))).toEqual([
      'fits',
      'tight',
      'tight',
      'too_large',
    ]);
  });
});

describe('work of a step', () => {
  const perToken = (rest: Partial<TrainConfigInput>) => {
    const { flops } = stepWork(llama, config(rest), { batch: 1, tokens: 8 });
    return flops / 8 / 1_235_814_400;
  };
  it('is about 4 operations a parameter and token, 6 in full fine-tuning, and a third more with checkpointing', () => {
    // An embedding that is the head, too, is multiplied once.
    expect(perToken({})).toBeGreaterThan(3.9);
    expect(perToken({})).toBeLessThan(4.2);
    expect(perToken({ adapter: { method: 'full', rank: 1, alpha: 1 } })).toBeCloseTo(6, 0);
    expect(perToken({ gradientCheckpointing: true }) / perToken({})).toBeGreaterThan(1.3);
  });
  it('is that of all passes, and less for ID-LoRA than for LoRA of the same rank', () => {
    expect(perToken({ accumulate: 4 }) / perToken({})).toBeCloseTo(4, 6);
    expect(perToken({ adapter: { method: 'idlora', rank: 64, alpha: 128 } })).toBeLessThan(
      perToken({ adapter: { method: 'lora', rank: 64, alpha: 128 } }),
    );
  });
});
