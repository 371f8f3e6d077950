import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../src-main/contract/entities.ts';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { dispatch } from '../../src-main/core/dispatch.ts';
import { openWritable } from '../../src-main/store/database.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { neverAborted } from '../support/core.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/trainingRun.ts';

const runs = 10_000;
let core: Core;

beforeAll(() => {
  const home = temporaryFolder();
  const database = openWritable(`${home}/studio.db`);
  ensureProject(database, 'default');
  const environment = {
    studio: '1',
    tensorflow: '2',
    node: '24',
    device: 'cpu',
    cores: 2,
    memoryBytes: 1e10,
  };
  database.writable.transaction(() => {
    for (let i = 0; i < runs; i++)
      insertRun(
        database,
        sampleRun({ name: `run-${i}`, environment, createdAt: new Date(1e12 + i * 1000).toISOString() }),
      );
  })();
  database.writable.close();
  core = createCore({ home, project: 'default', mode: 'write' });
});
afterAll(() => core.close());

/** @returns `ms`: of the processor, not of the clock: other tests run beside this one */
async function list(): Promise<{ all: Run[]; ms: number }> {
  const begin = process.cpuUsage();
  const reply = await dispatch(core.handlers, 'runs.list', {}, neverAborted);
  const { user, system } = process.cpuUsage(begin);
  const ms = (user + system) / 1000;
  if (!reply.ok) throw new Error(reply.error.message);
  return { all: reply.value as Run[], ms };
}

it('lists 10,000 runs within 100 ms, newest first, as they are now', async () => {
  const first = await list();
  expect(first.all).toHaveLength(runs);
  core.runs.annotate('run-17', { notes: 'changed' });
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push((await list()).ms);
  const { all } = await list();
  expect(all[0]!.name).toBe(`run-${runs - 1}`);
  expect(all.find(({ name }) => name === 'run-17')!.notes).toBe('changed');
  core.runs.remove('run-17');
  expect((await list()).all).toHaveLength(runs - 1);
  console.log(`first ${first.ms.toFixed(0)} ms, then ${times.map((ms) => ms.toFixed(0)).join(', ')} ms`);
  expect(Math.min(...times)).toBeLessThan(100);
});
