import { expect, it } from 'vitest';
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
  const forecast = forecastTraining(planned, gpu);
  const { parts, hostBytes } = forecast.memory;
  const onCpu = forecastTraining(planned, cpu).memory.parts;
  expect(parts.weights).toBeCloseTo(2 * 8_030_261_248, -6);
  expect(hostBytes).toBeGreaterThan(500e6);
  expect(hostBytes).toBeLessThan(4e9);
  // No f32 copies of matrices there: the card multiplies bf16 itself.
  expect(parts.working).toBeLessThan(onCpu.working - 300e6);
  // What is handled in larger parts there is more at a time: four copies of the logits of one part, and of attention
  // the whole square of 512 x 512 instead of ten of its sixteen blocks.
  expect(parts.logits).toBe(4 * 4 * 128256 * 512);
  expect(onCpu.logits).toBe(4 * 4 * 4 * 2 ** 20);
  const weightsOfBlocks = 2 * 32 * 32 * 128 ** 2;
  const keys = 2 * 32 * (8 * 128) * 2 * 128;
  expect(parts.attention - onCpu.attention).toBe(6 * weightsOfBlocks - (1 + 2 + 3) * keys);
  expect(deviceMemory(gpu)).toBe(24e9);
  expect(deviceMemory(cpu)).toBe(128e9);
});

it('fits where card and machine have room for their parts, and is tight or too large where one has not', () => {
  const forecast = forecastTraining(planned, gpu);
  const fit = (card: number, memoryBytes: number) =>
    trainingFit(forecast, { ...gpu, memoryBytes, gpu: { name: 'a card', memoryBytes: card } });
  expect(fit(80e9, 128e9)).toBe('fits');
  expect(fit(16e9, 128e9)).toBe('too_large');
  expect(fit(1.1 * forecast.memory.correctedBytes, 128e9)).toBe('tight');
  expect(fit(80e9, 1e9)).toBe('too_large');
});

it('takes what was measured on the same kind of device, and never a process’s memory for a card’s', () => {
  const made = forecastTraining(planned, cpu);
  const record: ForecastRecord = {
    runId: 'r',
    name: 'r',
    modelId: 'm',
    device: 'cpu',
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
    /^Of 16.0 GB on the GPU \(a card\), and beside it about \S+ GB of 128 GB that this machine has\.$/,
  );
  expect(deviceSentence(forecastTraining(planned, cpu), cpu)).toBe('Of 128 GB that this machine has.');
});
