import { describe, expect, it } from 'vitest';
import {
  deviceMemory,
  forecastTraining,
  trainingFit,
  type PlannedTraining,
} from '../../src-main/budget/forecast/calibrate.ts';
import { negotiate } from '../../src-main/budget/forecast/negotiate.ts';
import { presets } from '../../src-main/shape/modelShape.ts';
import type { Calibration, ForecastRecord } from '../../src-main/contract/forecast.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { deviceSentence } from '../../src-renderer/forecast/words.ts';

const planned: PlannedTraining = {
  modelId: 'm',
  shape: presets['llama-3-8b']!,
  config: trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 16, alpha: 32 },
    batch: 1,
    context: 512,
    precision: 'bf16',
  }),
  rowTokens: 512,
  line: null,
  steps: 10,
  heldOutRows: 0,
};
const cpu: Calibration = { cores: 16, memoryBytes: 128e9, diskFreeBytes: 1e12, gpu: null, records: [] };
const gpu: Calibration = { ...cpu, gpu: { name: 'a card', memoryBytes: 24e9 } };

it('needs the weights on the GPU and only the process beside it', () => {
  const forecast = forecastTraining(planned, { ...gpu, gpu: { name: 'a large card', memoryBytes: 48e9 } });
  const { parts, hostBytes } = forecast.memory;
  const onCpu = forecastTraining(planned, cpu).memory.parts;
  expect(parts.weights).toBeCloseTo(2 * 8_030_261_248, -6);
  expect(hostBytes).toBeGreaterThan(500e6);
  expect(hostBytes).toBeLessThan(4e9);
  // No f32 copies of matrices there: the card multiplies bf16 itself.
  expect(parts.working).toBeLessThan(onCpu.working - 100e6);
  // What is handled in larger parts there is more at a time: four copies of the logits of one part, and of attention
  // the whole square of 512 x 512 instead of ten of its sixteen blocks.
  expect(parts.logits).toBe(4 * 4 * 128256 * 512);
  expect(onCpu.logits).toBe(4 * 4 * 4 * 2 ** 20);
  const weightsOfBlocks = 2 * 32 * 32 * 128 ** 2;
  const keys = 2 * 32 * (8 * 128) * 2 * 128;
  expect(parts.attention - onCpu.attention).toBe(6 * weightsOfBlocks - (1 + 2 + 3) * keys);
  // TensorFlow keeps the rest, by the card's age.
  expect(deviceMemory(gpu)).toBe(24e9 - 1536 * 2 ** 20);
  const older = (capability: string) => deviceMemory({ ...gpu, gpu: { ...gpu.gpu!, capability } });
  expect(older('7.5')).toBe(24e9 - 1050 * 2 ** 20);
  expect(older('6.1')).toBe(24e9 - 500 * 2 ** 20);
  expect(deviceMemory(cpu)).toBe(128e9);
});

describe('the parts into which work is cut', () => {
  /** @param usable bytes of the card that TensorFlow gives out */
  const blockOf = (usable: number, of = planned) =>
    forecastTraining(of, { ...cpu, gpu: { name: 'a card', memoryBytes: usable + 1536 * 2 ** 20 } }).parts
      .queryBlock;

  it('are as large as fits, and large again where no others find more room', () => {
    const needed = (queryBlock: number, logitElements: number) =>
      forecastTraining(planned, gpu, { queryBlock, logitElements }).memory.bytes;
    const sizes = [needed(512, 2 ** 26), needed(256, 2 ** 24), needed(128, 2 ** 22)];
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
    // Up to three quarters of the memory it fits.
    expect(sizes.map((bytes) => blockOf(1.001 * (bytes / 0.75)))).toEqual([512, 256, 128]);
    // All are tight, or too large.
    expect(blockOf(1.1 * sizes[0]!)).toBe(512);
    expect(blockOf(0.9 * sizes[2]!)).toBe(512);
    expect(blockOf(0.999 * sizes[0]!)).toBe(256);
    expect(forecastTraining(planned, cpu).parts).toEqual({ queryBlock: 128, logitElements: 2 ** 22 });
  });

  it('are smaller for a base in 4 bits, so that LoRA on an 8B model stays under 8 GB at 2,048 tokens', () => {
    const config = trainConfigSchema.parse({
      ...planned.config,
      context: 2048,
      loadIn4bit: true,
      gradientCheckpointing: true,
      optimizer: 'adamw8bit',
    });
    const sparing = { ...planned, rowTokens: 2048, config };
    for (const memoryBytes of [6.5e9, 8e9, 12e9, 24e9, 80e9]) {
      const calibration = { ...gpu, gpu: { name: 'a card', memoryBytes } };
      expect(forecastTraining(sparing, calibration).memory.correctedBytes).toBeLessThan(8e9);
    }
    expect([8e9, 10.3e9, 80e9].map((bytes) => blockOf(bytes, sparing))).toEqual([256, 128, 256]);
  });

  it('of a run that goes on stay as they were', () => {
    const begunWith = { queryBlock: 64, logitElements: 2 ** 20 };
    expect(forecastTraining(planned, gpu, begunWith).parts).toEqual(begunWith);
  });
});

it('fits where card and machine have room for their parts, and is tight or too large where one has not', () => {
  const forecast = forecastTraining(planned, gpu);
  const fit = (card: number, memoryBytes: number) =>
    trainingFit(forecast, { ...gpu, memoryBytes, gpu: { name: 'a card', memoryBytes: card } });
  expect(fit(80e9, 128e9)).toBe('fits');
  expect(fit(16e9, 128e9)).toBe('too_large');
  expect(fit(1.1 * forecast.memory.correctedBytes + 1.7e9, 128e9)).toBe('tight');
  expect(fit(forecast.memory.correctedBytes + 1e9, 128e9)).toBe('too_large');
  expect(fit(80e9, 1e9)).toBe('too_large');
});

it('takes what was measured on the same kind of device, and never a process’s memory for a card’s', () => {
  const made = forecastTraining(planned, cpu);
  const record: ForecastRecord = {
    runId: 'r',
    name: 'r',
    modelId: 'm',
    device: 'cpu',
    card: null,
    config: planned.config,
    createdAt: '',
    forecast: {
      modelledBytes: made.memory.bytes,
      memoryBytes: made.memory.bytes,
      seconds: 1,
      rowTokens: 512,
      line: null,
      modelledSecondsPerStep: 1,
      secondsPerStep: 1,
      memoryBasis: 'model',
      timeBasis: 'model',
    },
    measured: {
      peakMemoryBytes: 2 * made.memory.bytes,
      cardPeak: null,
      secondsPerStep: 7,
      startSeconds: 1,
      seconds: 9,
      steps: 2,
    },
  };
  const onGpu = (records: ForecastRecord[]) => forecastTraining(planned, { ...gpu, records });
  expect(onGpu([record])).toEqual(onGpu([]));
  const measured = onGpu([{ ...record, device: 'gpu' }]);
  expect(measured.time).toMatchObject({ basis: 'measured', secondsPerStep: 7 });
  expect(measured.memory).toMatchObject({ basis: 'model', correctedBytes: onGpu([]).memory.bytes });
  expect(forecastTraining(planned, { ...cpu, records: [record] }).memory.basis).toBe('measured');
});

it('offers changes against the memory of the card, and says where memory is needed', () => {
  const small = { ...gpu, gpu: { name: 'a card', memoryBytes: 16e9 } };
  const wide = { ...planned, config: { ...planned.config, batch: 8 } };
  const limits = { memoryBytes: deviceMemory(small), seconds: null };
  expect(negotiate(wide, small, limits, null).map(({ id }) => id)).toContain('checkpointing');
  expect(negotiate(wide, gpu, { memoryBytes: 128e9, seconds: null }, null)).toEqual([]);
  expect(deviceSentence(forecastTraining(planned, small), small)).toMatch(
    /^Of 14.4 GB that TensorFlow gives out of the 16.0 GB on the GPU \(a card\), and beside it about \S+ GB of 128 GB that this machine has\.$/,
  );
  expect(deviceSentence(forecastTraining(planned, cpu), cpu)).toBe('Of 128 GB that this machine has.');
});
