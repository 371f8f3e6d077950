import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createCurveReader } from '../../../src-main/services/runs/curveReader.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { dropMetricsAfter, writeMetrics } from '../../../src-main/store/metrics.ts';
import { longCurve, writeLongRun } from '../../support/longRun.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const path = join(temporaryFolder(), 'studio.db');
const run = writeLongRun(path, 'long', 5000);
const database = openWritable(path);
afterAll(() => database.writable.close());
const reader = createCurveReader(database);
const recorded = longCurve(5000);

it('gives every step where no number of points is asked for', () => {
  const { steps, total, smoothed, evals } = reader.read(run, {});
  expect(steps).toEqual(recorded);
  expect(total).toBe(5000);
  expect(smoothed).toEqual([]);
  expect(evals).toHaveLength(100);
  const piece = reader.read(run, { from: 1001, to: 1100 });
  expect(piece.steps).toEqual(recorded.slice(1000, 1100));
  expect(piece.evals.map(({ step }) => step)).toEqual([1050, 1100]);
});

it('gives few points of all steps, and every step of a short range with its neighbours', () => {
  const overview = reader.read(run, { points: 400 });
  expect(overview.steps.length).toBeLessThanOrEqual(400);
  expect(overview.steps).toContainEqual(recorded[3000]);
  for (const metric of overview.steps) expect(metric).toEqual(recorded[metric.step - 1]);
  const detail = reader.read(run, { from: 2000, to: 2200, points: 400 });
  expect(detail.steps).toEqual(recorded.slice(1998, 2201));
});

it('smooths over all steps: the value at a step does not depend on the range or the number of points', () => {
  let [mean, bias] = [0, 1];
  const expected = recorded.map(({ loss }) => {
    mean = 0.95 * mean + 0.05 * loss;
    bias *= 0.95;
    return mean / (1 - bias);
  });
  for (const query of [{}, { points: 100 }, { from: 4000, to: 4400, points: 100 }]) {
    const { steps, smoothed } = reader.read(run, { ...query, smoothing: 0.95 });
    expect(smoothed).toHaveLength(steps.length);
    steps.forEach(({ step }, i) => expect(smoothed[i]).toBeCloseTo(expected[step - 1]!, 10));
  }
  expect(reader.read(run, { from: 7, to: 7, smoothing: 0 }).smoothed[0]).toBeCloseTo(recorded[6]!.loss, 12);
});

it('sees steps that are recorded later, and forgets those that are taken back', () => {
  const more = { ...recorded[0]!, step: 5001, loss: 7, memoryBytes: null };
  writeMetrics(database, run, { steps: [more], evals: [], samples: [], logs: [] });
  expect(reader.read(run, {}).steps.at(-1)).toEqual(more);
  dropMetricsAfter(database, run, 100);
  reader.forget(run);
  writeMetrics(database, run, { steps: [{ ...more, step: 101 }], evals: [], samples: [], logs: [] });
  const { steps, total } = reader.read(run, {});
  expect(total).toBe(101);
  expect(steps.at(-1)).toMatchObject({ step: 101, loss: 7 });
});
