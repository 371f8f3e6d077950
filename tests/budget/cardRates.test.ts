import { expect, it } from 'vitest';
import { forecastTraining, type PlannedTraining } from '../../src-main/budget/forecast/calibrate.ts';
import { cardRates } from '../../src-main/budget/forecast/cardRates.ts';
import type { Calibration, ForecastRecord } from '../../src-main/contract/forecast.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { presets } from '../../src-main/shape/modelShape.ts';
import { basisSentence } from '../../src-renderer/forecast/words.ts';

const planned: PlannedTraining = {
  modelId: 'm',
  shape: presets['llama-3-8b']!,
  config: trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 16, alpha: 32 },
    batch: 4,
    context: 1024,
    precision: 'bf16',
  }),
  rowTokens: 1024,
  line: null,
  steps: 10,
  heldOutRows: 0,
};
const on = (name: string, capability = '8.9', records: ForecastRecord[] = []): Calibration => ({
  cores: 16,
  memoryBytes: 128e9,
  diskFreeBytes: 1e12,
  gpu: { name, memoryBytes: 48e9, capability },
  records,
});
const withConfig = (changes: object): PlannedTraining => ({
  ...planned,
  config: trainConfigSchema.parse({ ...planned.config, ...changes }),
});
const seconds = (calibration: Calibration, plan = planned) =>
  forecastTraining(plan, calibration).time.secondsPerStep;

it('knows cards by the names that nvidia-smi gives, longer ones before those that they begin with', () => {
  const flops = (name: string, products: 'f32' | 'bf16' | 'tf32' = 'bf16') =>
    cardRates({ name, capability: '8.9' }, products).flops / 1e12;
  expect(flops('NVIDIA L40S')).toBeCloseTo(0.3 * 362);
  expect(flops('NVIDIA L40')).toBeCloseTo(0.3 * 181);
  expect(flops('NVIDIA L4')).toBeCloseTo(0.3 * 121);
  expect(flops('NVIDIA A10G')).toBeCloseTo(0.3 * 70);
  expect(flops('NVIDIA H100 PCIe')).toBeLessThan(flops('NVIDIA H100 80GB HBM3'));
  expect(flops('NVIDIA GeForce RTX 4070 Ti')).toBeGreaterThan(flops('NVIDIA GeForce RTX 4070'));
  expect(flops('NVIDIA GeForce RTX 4090 Laptop GPU')).toBeCloseTo(flops('NVIDIA GeForce RTX 4090') / 2);
  // Without units for bf16 it is multiplied as f32.
  expect(flops('Tesla T4')).toBe(flops('Tesla T4', 'f32'));
  expect(flops('NVIDIA A100-SXM4-80GB', 'tf32')).toBeCloseTo(0.3 * 156);
  expect(flops('NVIDIA A100-SXM4-80GB', 'f32')).toBeCloseTo(0.3 * 19.5);
  expect(cardRates({ name: 'NVIDIA L40', capability: '8.9' }, 'bf16').source).toBe(
    "30 % of the 181 TFLOP/s in bf16 of NVIDIA's data sheet for it",
  );
  const unknown = cardRates({ name: 'NVIDIA X', capability: '9.9' }, 'bf16');
  expect(unknown.source).toContain("this one is not in the studio's list");
  expect(cardRates({ name: 'NVIDIA X', capability: '6.1' }, 'bf16').flops).toBeLessThan(unknown.flops);
});

it('guesses the time of a step by the card, and says so', () => {
  expect(seconds(on('NVIDIA H200', '9.0'))).toBeLessThan(seconds(on('NVIDIA L40')));
  expect(seconds(on('NVIDIA L40'))).toBeLessThan(seconds(on('NVIDIA L4')));
  const f32 = withConfig({ precision: 'f32' });
  const tf32 = withConfig({ precision: 'f32', tf32: true });
  expect(seconds(on('NVIDIA A100'), tf32)).toBeLessThan(seconds(on('NVIDIA A100'), f32));
  expect(seconds(on('NVIDIA V', '7.0'), tf32)).toBe(seconds(on('NVIDIA V', '7.0'), f32));
  // A card with less bandwidth reads the weights more slowly.
  const small = { ...withConfig({ batch: 1, context: 32 }), rowTokens: 32 };
  expect(seconds(on('NVIDIA L40S'), small) - seconds(on('NVIDIA H200'), small)).toBeGreaterThan(0.02);
  const sentence = basisSentence(forecastTraining(planned, on('NVIDIA L40')));
  expect(sentence).toContain('Time: a guess, at 30 % of the 181 TFLOP/s');
  expect(sentence).toContain('until something is measured on this card');
});

it('takes what was measured on this card in place of the guess, that of its precision and method first', () => {
  const record = (card: string | null, slowness: number, changes: object = {}): ForecastRecord => {
    const { time, memory } = forecastTraining(planned, on('NVIDIA L40'));
    return {
      runId: 'r',
      name: 'r',
      modelId: 'other',
      device: 'gpu',
      card,
      config: withConfig(changes).config,
      createdAt: '',
      forecast: {
        modelledBytes: memory.bytes,
        memoryBytes: memory.bytes,
        modelledSecondsPerStep: time.modelledSecondsPerStep,
        secondsPerStep: time.secondsPerStep,
        seconds: 1,
        rowTokens: 1024,
        line: null,
        memoryBasis: 'model',
        timeBasis: 'model',
      },
      measured: {
        peakMemoryBytes: 1e9,
        cardPeak: null,
        secondsPerStep: slowness * time.modelledSecondsPerStep,
        startSeconds: 5,
        seconds: 9,
        steps: 9,
      },
    };
  };
  const guess = seconds(on('NVIDIA L40'));
  const after = (...records: ForecastRecord[]) =>
    forecastTraining(planned, on('NVIDIA L40', '8.9', records)).time;
  expect(after(record('NVIDIA L4', 4))).toMatchObject({ basis: 'model', secondsPerStep: guess });
  const measured = after(record('NVIDIA L4', 4), record('NVIDIA L40', 2));
  expect(measured).toMatchObject({ basis: 'machine', n: 1, guess: null });
  expect(measured.secondsPerStep).toBeCloseTo(2 * guess);
  const dora = { adapter: { method: 'dora', rank: 16, alpha: 32 } };
  const exact = { precision: 'f32' };
  const mixed = [record('NVIDIA L40', 9, exact), record('NVIDIA L40', 5, dora), record('NVIDIA L40', 3)];
  expect(after(...mixed).secondsPerStep).toBeCloseTo(3 * guess);
  expect(after(...mixed.slice(0, 2)).secondsPerStep).toBeCloseTo(5 * guess);
  expect(after(...mixed.slice(0, 1)).secondsPerStep).toBeCloseTo(9 * guess);
  // From before cards were told apart.
  expect(after(record(null, 2)).secondsPerStep).toBeCloseTo(2 * guess);
});
