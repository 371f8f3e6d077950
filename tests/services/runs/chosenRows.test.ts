import { describe, expect, it } from 'vitest';
import { chooseRows } from '../../../src-main/services/runs/chosenRows.ts';
import { longCurve } from '../../support/longRun.ts';

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
