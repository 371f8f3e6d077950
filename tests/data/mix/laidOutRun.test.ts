import { expect, it } from 'vitest';
import { inLine, layOutRun } from '../../../src-main/data/mix/laidOutRun.ts';
import { lineStep } from '../../../src-main/options/passLayouts.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

const random = createRandom(5);
const lengths = Array.from({ length: 90 }, () => 40 + random.integer(400));
const rows = {
  rowCount: lengths.length,
  epochRows: null,
  length: (row: number) => lengths[row]!,
  labels: (row: number) => Math.floor(lengths[row]! / 2),
};
const config = { batch: 4, accumulate: 2, epochs: 3, maxSteps: null, seed: 1, context: 1024, heldOutRows: 0 };

it.each([false, true])(
  'no query of any pass sees a key before the first of its layout, packing: %s',
  (packing) => {
    const { order, layouts } = layOutRun({ ...config, packing }, rows, null);
    // What is looked back to at most, of each layout and block, counted here position by position.
    const seen = layouts.training.map(({ tokens }) =>
      Array.from({ length: Math.ceil(tokens / lineStep) }, (_, block) => block * lineStep),
    );
    for (let step = 1; step <= order.totalSteps; step++)
      for (const packs of order.microBatches(step)) {
        const lines = packing ? packs : [packs.flat()];
        const most = Math.max(...lines.map((line) => line.reduce((sum, row) => sum + lengths[row]!, 0)));
        const at = layouts.training.findIndex(({ tokens }) => tokens >= most);
        for (const line of lines) {
          const begins = inLine(line, rows.length).flatMap((row) => Array<number>(lengths[row]!).fill(row));
          begins.forEach((row, place) => {
            if (place % lineStep !== 0) return;
            const block = place / lineStep;
            seen[at]![block] = Math.min(seen[at]![block]!, begins.indexOf(row));
          });
        }
      }
    layouts.training.forEach(({ firstKeys }, i) => {
      expect(firstKeys).toEqual(seen[i]!.map((key) => lineStep * Math.floor(key / lineStep)));
      // Later than the longest row alone would tell.
      expect(firstKeys!.some((key, block) => key > Math.max(0, block * lineStep - 438))).toBe(true);
    });
    expect(layouts.scoring.firstKeys).toBeUndefined();
  },
);
