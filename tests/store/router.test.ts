import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openWritable } from '../../src-main/store/database.ts';
import { copyMetrics, dropMetricsAfter, writeMetrics } from '../../src-main/store/metrics.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { readRouterRecords } from '../../src-main/store/router.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('keeps the use of experts of a run, forgets it after a step and gives it to a branch', () => {
  const database = openWritable(join(temporaryFolder(), 'studio.db'));
  ensureProject(database, 'default');
  const [run, branch] = [sampleRun({ name: 'a' }), sampleRun({ name: 'b' })];
  insertRun(database, run);
  insertRun(database, branch);
  const layout = { experts: 2, sites: [{ layer: 0, module: 'q_proj' as const }] };
  const record = (step: number) => ({ step, tokens: 7, mean: [-0.5, step], magnitude: [0.75, step] });
  expect(readRouterRecords(database, run.id, 10)).toBeNull();
  const router = { layout, records: [1, 2, 3].map(record) };
  writeMetrics(database, run.id, { steps: [], evals: [], logs: [], router });
  expect(readRouterRecords(database, run.id, 10)).toEqual(router);
  expect(readRouterRecords(database, run.id, 2)!.records.map(({ step }) => step)).toEqual([2, 3]);
  copyMetrics(database, run.id, branch.id, 2);
  expect(readRouterRecords(database, branch.id, 10)).toEqual({ layout, records: [1, 2].map(record) });
  dropMetricsAfter(database, run.id, 1);
  expect(readRouterRecords(database, run.id, 10)!.records).toEqual([record(1)]);
  database.writable.close();
});
