import { expect, it } from 'vitest';
import { createDataOrder } from '../../../src-main/engine/training/dataOrder.ts';
import { adamScalars } from '../../../src-main/engine/training/optimisers/adamW.ts';
import { learningRate } from '../../../src-main/engine/training/schedule.ts';

const peak = { learningRate: 1, warmupSteps: 2 };

it('schedules follow transformers', () => {
  const rates = (schedule: 'constant' | 'linear' | 'cosine') =>
    [1, 2, 3, 4, 5, 6].map((step) => learningRate({ ...peak, schedule }, step, 6));
  expect(rates('constant')).toEqual([0, 0.5, 1, 1, 1, 1]);
  expect(rates('linear')).toEqual([0, 0.5, 1, 0.75, 0.5, 0.25]);
  rates('cosine').forEach((rate, i) => expect(rate).toBeCloseTo([0, 0.5, 1, 0.853553, 0.5, 0.146447][i]!, 5));
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
