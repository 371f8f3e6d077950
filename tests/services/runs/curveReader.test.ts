import { join } from 'node:path';
import { afterAll, expect, it, describe } from 'vitest';
import { createCurveReader, chooseRows } from '../../../src-main/services/runs/curveReader.ts';
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

const steps = longCurve(100_000);
const columns = [steps.map(({ loss }) => loss), steps.map(({ gradNorm }) => gradNorm)];
const all = { begin: 0, end: steps.length };

describe('rows that stand for a long curve', () => {
  it('are all rows where they are few enough', () => {
    expect(chooseRows(columns, { begin: 5, end: 9 }, 4)).toEqual([5, 6, 7, 8]);
    expect(chooseRows(columns, { begin: 5, end: 5 }, 4)).toEqual([]);
  });

  it('are no more than asked for and at least a quarter of it, ascending, with the first and the last', () => {
    for (const most of [100, 1000, 4000]) {
      const rows = chooseRows(columns, all, most);
      expect(rows.length).toBeLessThanOrEqual(most);
      expect(rows.length).toBeGreaterThan(most / 4);
      expect([rows[0], rows.at(-1)]).toEqual([0, 99_999]);
      expect(rows).toEqual([...new Set(rows)].toSorted((a, b) => a - b));
    }
  });

  it('keep the extremes of every column, a spike of one step included', () => {
    const rows = new Set(chooseRows(columns, all, 200));
    for (const column of columns)
      for (const extreme of [Math.min(...column), Math.max(...column)])
        expect(rows.has(column.indexOf(extreme))).toBe(true);
    expect(rows.has(60_000)).toBe(true);
  });

  it('do not flicker: two ranges of one length choose the same rows where they overlap', () => {
    const [a, b] = [10_000, 12_345].map((begin) => chooseRows(columns, { begin, end: begin + 40_000 }, 500));
    const overlap = (rows: number[]) => rows.filter((row) => row > 13_000 && row < 49_000);
    expect(overlap(a!)).toEqual(overlap(b!));
    expect(overlap(a!).length).toBeGreaterThan(100);
  });

  it('pass over values that were not recorded', () => {
    const holes = [Float64Array.from({ length: 1000 }, (_, i) => (i % 2 ? NaN : i))].map((column) => [
      ...column,
    ]);
    const rows = chooseRows(holes, { begin: 0, end: 1000 }, 60);
    expect(rows.slice(1, -1).every((row) => row % 2 === 0)).toBe(true);
    expect(chooseRows([new Array<number>(1000).fill(NaN)], { begin: 0, end: 1000 }, 60)).toEqual([0, 999]);
  });
});
