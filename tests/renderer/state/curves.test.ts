import { expect, it } from 'vitest';
import type { StepMetric } from '../../../src-main/contract/runRecords.ts';
import { smoothedFrom, startOfSmoothing } from '../../../src-main/statistics/smoothing.ts';
import { noCurves, withDetail, withEval, within, withSteps } from '../../../src-renderer/state/curves.ts';

const step = (number: number, loss = number): StepMetric => ({
  step: number,
  loss,
  lr: 1,
  gradNorm: 1,
  tokensPerSecond: 1,
  memoryBytes: null,
});
const evaluation = (number: number) => ({ step: number, loss: 1, rows: 1, tokens: 1 });
const numbers = (entries: readonly { step: number }[]) => entries.map((entry) => entry.step);

it('goes on with the moving average of all steps, of which it holds only some', () => {
  const losses = [5, 3, 4, 2, 6, 1];
  let average = startOfSmoothing;
  const expected = losses.map((loss) => (average = smoothedFrom(average, loss, 0.9)).value);
  // The core has sent steps 1 and 4 of four.
  const overview = {
    steps: [step(1, 5), step(4, 2)],
    smoothed: [expected[0]!, expected[3]!],
    evals: [],
    total: 4,
    smoothing: 0.9,
  };
  const longer = withSteps(withSteps(overview, [step(4, 2), step(5, 6)]), [step(5, 6), step(6, 1)]);
  expect(numbers(longer.steps)).toEqual([1, 4, 5, 6]);
  expect(longer.total).toBe(6);
  expect(longer.smoothed[2]).toBeCloseTo(expected[4]!, 12);
  expect(longer.smoothed[3]).toBeCloseTo(expected[5]!, 12);
  expect(withSteps(longer, [step(6, 1)])).toBe(longer);
  const unsmoothed = withSteps({ ...noCurves, smoothing: 0 }, [step(1, 5), step(2, 3)]);
  expect(unsmoothed.smoothed).toEqual([5, 3]);
});

it('adds an evaluation once', () => {
  const once = withEval(noCurves, evaluation(5));
  expect(numbers(withEval(withEval(once, evaluation(5)), evaluation(10)).evals)).toEqual([5, 10]);
});

it('puts detail in the place of the overview, and cuts to a range with a neighbour on each side', () => {
  const drawn = (steps: number[], evals: number[]) => ({
    steps: steps.map((number) => step(number)),
    smoothed: steps.map((number) => number / 10),
    evals: evals.map(evaluation),
  });
  const overview = drawn([1, 10, 20, 30, 40, 50], [5, 15, 25, 45]);
  const merged = withDetail(overview, drawn([19, 20, 21, 22, 30, 31], [20, 25]));
  expect(numbers(merged.steps)).toEqual([1, 10, 19, 20, 21, 22, 30, 31, 40, 50]);
  expect(merged.smoothed).toEqual(merged.steps.map((metric) => metric.step / 10));
  expect(numbers(merged.evals)).toEqual([5, 15, 20, 25, 45]);
  expect(withDetail(overview, null)).toBe(overview);
  const cut = within(merged, { from: 20, to: 35 });
  expect(numbers(cut.steps)).toEqual([19, 20, 21, 22, 30, 31, 40]);
  expect(cut.smoothed).toHaveLength(7);
  expect(numbers(cut.evals)).toEqual([15, 20, 25, 45]);
});
