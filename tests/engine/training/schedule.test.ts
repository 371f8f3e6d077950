import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { schedules, trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import { createDataOrder } from '../../../src-main/engine/training/dataOrder.ts';
import { adamScalars } from '../../../src-main/engine/training/optimisers/adamW.ts';
import { checkSchedule, learningRate } from '../../../src-main/engine/training/schedule.ts';
import { projectFolder } from '../../support/paths.ts';

const recorded = JSON.parse(
  readFileSync(join(projectFolder, 'tests/engine/training/recorded/schedules.json'), 'utf8'),
) as { config: Partial<TrainConfigInput>; totalSteps: number; rates: number[] }[];

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

it("Adam's corrections are those of the step", () => {
  const rates = adamScalars({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, 0.1, 1);
  expect(rates.corrected_rate).toBeCloseTo((0.1 * Math.sqrt(0.001)) / 0.1, 12);
  expect(rates.corrected_epsilon).toBeCloseTo(1e-8 * Math.sqrt(0.001), 20);
});

it('every epoch visits every row once, in another order, and any step can be computed alone', () => {
  const options = { rows: 10, batch: 2, accumulate: 2, epochs: 2, maxSteps: null, seed: 1 };
  const order = createDataOrder(options);
  expect([order.stepsPerEpoch, order.totalSteps]).toEqual([3, 6]);
  const epoch = (first: number) => [0, 1, 2].flatMap((i) => order.microBatches(first + i).flat());
  expect(epoch(1).toSorted((a, b) => a - b)).toEqual([...Array(10).keys()]);
  expect(epoch(4).toSorted((a, b) => a - b)).toEqual([...Array(10).keys()]);
  expect(epoch(1)).not.toEqual(epoch(4));
  expect(createDataOrder(options).microBatches(5)).toEqual(order.microBatches(5));
  expect(order.microBatches(3)).toHaveLength(1);
});
