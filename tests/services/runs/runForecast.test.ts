import { expect, it } from 'vitest';
import { rowLayout } from '../../../src-main/budget/forecast/rowLayout.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { layOutRun } from '../../../src-main/data/mix/laidOutRun.ts';
import { foreseenLayout } from '../../../src-main/services/runs/runForecast.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

/** Rows of 20 to some hundred tokens, one of 1000. */
function rowsOf(rowCount: number) {
  const random = createRandom(3);
  const lengths = Int32Array.from({ length: rowCount }, () =>
    Math.min(900, 20 + Math.round(-100 * Math.log(1 - random.next()))),
  );
  lengths[12_345] = 1000;
  let read = 0;
  const length = (row: number) => {
    read++;
    return lengths[row]!;
  };
  return {
    rows: { rowCount, length, labels: (row: number) => Math.ceil(lengths[row]! / 3), epochRows: null },
    readings: () => read,
  };
}

const config = (rest: object) =>
  trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    batch: 4,
    context: 1024,
    ...rest,
  });

it.each([{ packing: false }, { packing: true }])(
  'foresees the passes of very many rows from a sample about as the engine lays them out (%o)',
  (options) => {
    const { rows } = rowsOf(130_000);
    const run = config(options);
    const all = rowLayout(layOutRun(run, rows, null).layouts, options.packing);
    const sample = foreseenLayout(rows, null, run);
    expect(sample.line?.longest).toBe(all.line?.longest);
    expect(Math.abs(sample.rowTokens / all.rowTokens - 1)).toBeLessThan(0.1);
    expect(Math.abs(sample.labels! / all.labels! - 1)).toBeLessThan(0.1);
    if (all.line) expect(Math.abs(sample.line!.meanTokens / all.line.meanTokens - 1)).toBeLessThan(0.02);
  },
);

it('does not read more of a run for its passes, and all of a small one as the engine does', () => {
  const many = rowsOf(400_000);
  foreseenLayout(many.rows, null, config({ epochs: 50 }));
  // Twice to find the longest, and a few times each row that is laid out.
  expect(many.readings()).toBeLessThan(3 * 400_000);
  const { rows } = rowsOf(20_000);
  const run = config({ epochs: 2 });
  expect(foreseenLayout(rows, null, run)).toEqual(rowLayout(layOutRun(run, rows, null).layouts, false));
});
