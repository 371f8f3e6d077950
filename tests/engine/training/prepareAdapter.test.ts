import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createTimeEstimate } from '../../../src-main/engine/training/prepareAdapter.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { checkpointFiles, trainTiny } from '../../support/trainingRun.ts';

const config = {
  adapter: { method: 'idlora' as const, rank: 4, alpha: 8, clusters: 2 },
  maxSteps: 2,
  batch: 2,
};
const pivotFiles = (folder: string) => {
  const cache = join(folder, 'cache', 'pivots');
  return existsSync(cache) ? readdirSync(cache) : [];
};

it('stops between modules while pivots are chosen, and goes on from the cache', async () => {
  const [cut, whole] = [temporaryFolder(), temporaryFolder()];
  const prepared = (event: { type: string; label?: string; done?: number }) =>
    event.type === 'progress' && event.label === 'Preparing the adapter' && event.done! >= 12;
  const first = await trainTiny({ config, folder: cut, stopOn: prepared });
  expect(first.result).toMatchObject({ outcome: 'stopped', step: 0, checkpoint: null });
  const found = pivotFiles(cut);
  // Two adapter parameters and the pivots of four modules.
  expect(found.length).toBe(4);
  const times = found.map((name) => statSync(join(cut, 'cache', 'pivots', name)).mtimeMs);

  const second = await trainTiny({ config, folder: cut });
  expect(found.map((name) => statSync(join(cut, 'cache', 'pivots', name)).mtimeMs)).toEqual(times);
  expect(pivotFiles(cut).length).toBe(14);
  const uncut = await trainTiny({ config, folder: whole });
  expect(checkpointFiles(second.result.checkpoint!)).toEqual(checkpointFiles(uncut.result.checkpoint!));
});

it('estimates the time left from the latest modules, by their sizes', () => {
  let nowMs = 0;
  const estimate = createTimeEstimate([0, 10, 0, 10, 40], () => nowMs);
  expect(estimate.after(0)).toBeNull();
  nowMs = 2000;
  expect(estimate.after(1)).toBeCloseTo(10);
  expect(estimate.after(2)).toBeCloseTo(10);
  nowMs = 6000;
  expect(estimate.after(3)).toBeCloseTo((40 * 6) / 20);
  expect(estimate.after(4)).toBeNull();
});
