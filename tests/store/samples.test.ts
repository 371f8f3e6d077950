import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openWritable } from '../../src-main/store/database.ts';
import { dropMetricsAfter } from '../../src-main/store/metrics.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { insertSamples, readSamples } from '../../src-main/store/samples.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('gives all answers to a prompt, or evenly chosen ones with the first and the last', () => {
  const database = openWritable(join(temporaryFolder(), 'studio.db'));
  ensureProject(database, 'default');
  const run = sampleRun();
  insertRun(database, run);
  const answer = (step: number, prompt = 0) =>
    ({ step, prompt, text: `after ${step}`, tokens: 2, end: 'length' }) as const;
  const all = Array.from({ length: 101 }, (_, i) => answer(10 * i));
  insertSamples(database, run.id, [...all, answer(0, 1)]);
  insertSamples(database, run.id, [answer(0)]);
  const read = (limit: number) => readSamples(database, run.id, { prompt: 0, limit });
  expect(read(200)).toEqual(all);
  expect(read(101)).toEqual(all);
  for (const limit of [2, 5, 11, 60, 100]) {
    const steps = read(limit).map(({ step }) => step);
    expect(steps).toHaveLength(limit);
    expect([steps[0], steps.at(-1)]).toEqual([0, 1000]);
    const gaps = steps.slice(1).map((step, i) => step - steps[i]!);
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(20);
  }
  dropMetricsAfter(database, run.id, 35);
  expect(read(200).map(({ step }) => step)).toEqual([0, 10, 20, 30]);
  database.writable.close();
});
