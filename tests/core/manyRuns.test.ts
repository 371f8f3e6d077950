import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../src-main/contract/entities.ts';
import type { Evaluation } from '../../src-main/contract/results.ts';
import type { ListSlice } from '../../src-main/contract/listSlices.ts';
import { createCore, type Core } from '../../src-main/core/createCore.ts';
import { dispatch } from '../../src-main/core/dispatch.ts';
import { openWritable } from '../../src-main/store/database.ts';
import { insertEvaluation } from '../../src-main/store/results.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { filledHome } from '../e2e/support/filledHome.ts';
import { neverAborted } from '../support/core.ts';
import { sampleEvaluation, sampleKeys } from '../support/sampleEvaluation.ts';
import { sampleRun } from '../support/sampleRun.ts';

const count = 10_000;
let core: Core;

beforeAll(() => {
  const home = filledHome({ runs: count, evaluations: count });
  core = createCore({ home, project: 'default', mode: 'write' });
});
afterAll(() => core.close());

interface Timed<T> {
  slice: ListSlice<T>;
  /** Of the processor, not of the clock: other tests run beside this one. */
  ms: number;
}

/** A slice as a host sends it. */
async function read<T>(name: string, after: ListSlice<T>['next']): Promise<Timed<T>> {
  const begin = process.cpuUsage();
  const reply = await dispatch(core.handlers, name, { after }, neverAborted);
  const text = JSON.stringify(reply);
  const { user, system } = process.cpuUsage(begin);
  if (!reply.ok) throw new Error(text);
  return { slice: reply.value as ListSlice<T>, ms: (user + system) / 1000 };
}

/** All slices of a list, one after the other. @param between is done after each */
async function readAll<T>(name: string, between: (slices: number) => void = () => undefined) {
  const entries: T[] = [];
  const times: number[] = [];
  let next: ListSlice<T>['next'] = null;
  let total: number;
  do {
    const timed: Timed<T> = await read<T>(name, next);
    entries.push(...timed.slice.entries);
    times.push(timed.ms);
    ({ next, total } = timed.slice);
    between(times.length);
  } while (next !== null);
  return { entries, times, total };
}

it('gives the newest runs and scores of 10,000 within 100 ms, from the first time on, and blocks nobody with the rest', async () => {
  for (const name of ['runs.list', 'evaluations.list']) {
    const { entries, times, total } = await readAll<Run | Evaluation>(name);
    expect(entries.map(({ id }) => id)).toEqual(
      Array.from(
        { length: count },
        (_, i) => `${name === 'runs.list' ? 'run' : 'evaluation'}${count - 1 - i}`,
      ),
    );
    expect(total).toBe(count);
    const ordered = times.toSorted((a, b) => a - b);
    console.log(
      `${name}: first ${times[0]!.toFixed(1)} ms, of ${times.length} slices: median ${ordered[times.length >> 1]!.toFixed(1)} ms, longest ${ordered.at(-1)!.toFixed(1)} ms`,
    );
    expect(times[0]).toBeLessThan(100);
    expect(ordered[times.length >> 1]).toBeLessThan(30);
  }
});

it('loses and doubles none while runs come, change and go between slices', async () => {
  const { writable } = openWritable(`${core.home}/studio.db`);
  const { entries } = await readAll<Run>('runs.list', (slices) => {
    insertRun(
      { readable: writable, writable },
      sampleRun({ id: `late${slices}`, name: `late-${slices}`, createdAt: new Date().toISOString() }),
    );
    if (slices === 3) core.runs.remove('run9999');
    if (slices === 3) core.runs.remove('run17');
  });
  writable.close();
  const ids = entries.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  // One had been read when it went, the other had not.
  expect(ids.length).toBe(count - 1);
  expect(ids).not.toContain('run17');
});

it('tells entries of the same time apart', async () => {
  const { writable } = openWritable(`${core.home}/studio.db`);
  const database = { readable: writable, writable };
  writable.transaction(() => {
    for (let i = 0; i < 450; i++) {
      insertRun(
        database,
        sampleRun({ id: `same${i}`, name: `same-${i}`, createdAt: '2027-01-01T00:00:00Z' }),
      );
      insertEvaluation(
        database,
        sampleEvaluation({ id: `sameScore${i}`, createdAt: '2027-01-01T00:00:00Z', runId: `same${i}` }),
        sampleKeys(`same ${i}`),
        [],
      );
    }
  })();
  writable.close();
  for (const [name, id] of [
    ['runs.list', 'same'],
    ['evaluations.list', 'sameScore'],
  ] as const) {
    const { entries } = await readAll<Run | Evaluation>(name);
    expect(entries.slice(0, 450).map((entry) => entry.id)).toEqual(
      Array.from({ length: 450 }, (_, i) => `${id}${449 - i}`),
    );
  }
});

it('counts a run and its scores out while they lie in the trash', async () => {
  const before = await Promise.all(['runs.list', 'evaluations.list'].map((name) => read(name, null)));
  core.runs.remove('same3');
  const after = await Promise.all(['runs.list', 'evaluations.list'].map((name) => read(name, null)));
  core.runs.restore('same3');
  const again = await Promise.all(['runs.list', 'evaluations.list'].map((name) => read(name, null)));
  expect(after.map(({ slice }, i) => before[i]!.slice.total - slice.total)).toEqual([1, 1]);
  expect(again.map(({ slice }) => slice.total)).toEqual(before.map(({ slice }) => slice.total));
});

it('goes on in the project where it began', async () => {
  const first = await read<Run>('runs.list', null);
  core.projects.create('other');
  core.projects.open('other');
  const second = await read<Run>('runs.list', first.slice.next);
  expect(second.slice.entries).toHaveLength(200);
  expect((await read<Run>('runs.list', null)).slice).toEqual({ entries: [], total: 0, next: null });
  core.projects.open('default');
});
