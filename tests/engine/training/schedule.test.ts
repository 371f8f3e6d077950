import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { schedules, trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';
import { createDataOrder } from '../../../src-main/data/mix/dataOrder.ts';
import { adamScalars } from '../../../src-main/engine/training/optimizers/adamW.ts';
import { checkSchedule, learningRate } from '../../../src-main/options/schedule.ts';
import { recorded as folder } from '../../support/paths.ts';

const recorded = JSON.parse(readFileSync(join(folder, 'schedules.json'), 'utf8')) as {
  config: Partial<TrainConfigInput>;
  totalSteps: number;
  rates: number[];
}[];

const adapter = { method: 'lora', rank: 4, alpha: 8 } as const;

it.each(recorded.map((entry) => [JSON.stringify(entry.config), entry] as const))(
  "%s: the rates of transformers' get_scheduler",
  (_label, { config, totalSteps, rates }) => {
    const full = trainConfigSchema.parse({ adapter, ...config });
    checkSchedule(full, totalSteps);
    rates.forEach((rate, i) => {
      const ours = learningRate(full, i + 1, totalSteps);
      expect(Math.abs(ours - rate), `step ${i + 1}`).toBeLessThan(1e-12 * 2e-4 + 1e-9 * rate);
    });
  },
);

it('covers every schedule with recorded rates', () => {
  expect(new Set(recorded.map(({ config }) => config.schedule))).toEqual(new Set(schedules));
});

it('refuses a decay that does not fit, and a polynomial end above the peak, with the nearest possible value', () => {
  const wsd = trainConfigSchema.parse({
    adapter,
    schedule: 'warmup_stable_decay',
    warmupSteps: 6,
    decaySteps: 8,
  });
  expect(() => checkSchedule(wsd, 12)).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      remedy: expect.stringContaining('6 or less') as string,
    }),
  );
  const low = trainConfigSchema.parse({ adapter, schedule: 'polynomial', learningRate: 1e-8 });
  expect(() => checkSchedule(low, 12)).toThrow(expect.objectContaining({ code: 'config_invalid' }));
});

it.each(schedules)('%s: refuses a warm-up as long as the run', (schedule) => {
  const config = trainConfigSchema.parse({ adapter, schedule, warmupSteps: 11, decaySteps: 1 });
  expect(() => checkSchedule(config, 12)).not.toThrow();
  expect(() => checkSchedule(config, 11)).toThrow(
    expect.objectContaining({
      code: 'config_invalid',
      message: expect.stringMatching(/^A warm-up of 11 steps .* which has 11 steps/) as string,
      remedy: expect.stringContaining('10 or less') as string,
    }),
  );
});

it("Adam's corrections are those of the step", () => {
  const rates = adamScalars({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, 0.1, 1);
  expect(rates.corrected_rate).toBeCloseTo((0.1 * Math.sqrt(0.001)) / 0.1, 12);
  expect(rates.corrected_epsilon).toBeCloseTo(1e-8 * Math.sqrt(0.001), 20);
});

describe.each([
  ['rows by themselves', null, 10, 3],
  ['packed rows', { lengths: [8, 7, 6, 5, 4, 4, 3, 2, 1, 16], capacity: 8 }, 10, 2],
])('%s', (_name, packing, rows, stepsPerEpoch) => {
  const options = { rows, batch: 2, accumulate: 2, epochs: 2, maxSteps: null, seed: 1, packing };

  it('every epoch visits every row once, in another order, and any step can be computed alone', () => {
    const order = createDataOrder(options);
    expect(order.totalSteps).toBe(2 * stepsPerEpoch);
    const epoch = (number: number) =>
      Array.from({ length: stepsPerEpoch }, (_, i) => order.microBatches(number * stepsPerEpoch + i + 1));
    const rowsOf = (number: number) => epoch(number).flat(3);
    expect(rowsOf(0).toSorted((a, b) => a - b)).toEqual([...Array(rows).keys()]);
    expect(rowsOf(1).toSorted((a, b) => a - b)).toEqual([...Array(rows).keys()]);
    expect(rowsOf(0)).not.toEqual(rowsOf(1));
    for (let step = 1; step <= order.totalSteps; step++)
      expect(createDataOrder(options).microBatches(step)).toEqual(order.microBatches(step));
    for (const microBatch of epoch(0).flat()) expect(microBatch.length).toBeLessThanOrEqual(2);
    expect(createDataOrder({ ...options, seed: 2 }).packs(0)).not.toEqual(order.packs(0));
  });

  it('counts the steps of part of an epoch, or takes the number given', () => {
    expect(createDataOrder({ ...options, epochs: 1.1 }).totalSteps).toBe(stepsPerEpoch + 1);
    expect(createDataOrder({ ...options, epochs: 0.01 }).totalSteps).toBe(1);
    expect(createDataOrder({ ...options, maxSteps: 77 }).totalSteps).toBe(77);
  });
});

it('counts steps from the packs of each epoch, which may differ', () => {
  const random = createRandom(3);
  const lengths = Array.from({ length: 3000 }, () => 20 + random.integer(230));
  const packing = { lengths, capacity: 256 };
  const order = createDataOrder({
    rows: 3000,
    batch: 1,
    accumulate: 1,
    epochs: 4,
    maxSteps: null,
    seed: 0,
    packing,
  });
  const packs = [0, 1, 2, 3].map((epoch) => order.packs(epoch).length);
  expect(order.totalSteps).toBe(packs.reduce((total, count) => total + count, 0));
  expect(new Set(packs).size).toBeGreaterThan(1);
  const steps = Array.from({ length: order.totalSteps }, (_, i) => order.microBatches(i + 1));
  const seen = steps.flat(3);
  expect(seen).toHaveLength(4 * 3000);
  packs.reduce((begin, count) => {
    expect(new Set(steps.slice(begin, begin + count).flat(3)).size).toBe(3000);
    return begin + count;
  }, 0);
});
