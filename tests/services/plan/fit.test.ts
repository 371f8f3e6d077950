import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { updateRun } from '../../../src-main/store/runs.ts';
import { openCoreOn, openTestCore, openTrainingCore } from '../../support/core.ts';
import { tinyLlama } from '../../support/paths.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

const config = (rest = {}) =>
  trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    maxSteps: 1,
    context: 64,
    ...rest,
  });
const enormous = { batch: 10_000_000 };

async function openCore() {
  const { core, dataFile } = openTestCore();
  open.push(core);
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: false });
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  // Nothing is to train here: what is started waits.
  core.runs.queue.begin();
  core.runs.queue.hold(true);
  return core;
}

it('asks before a run that does not fit, says what would make it fit, and starts it when told to', async () => {
  const core = await openCore();
  const run = { name: 'huge', model: 'tiny', dataset: 'sums', config: config(enormous) };
  const refused = await core.runs.start(run).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'does_not_fit' });
  const { message, remedy } = refused as { message: string; remedy: string };
  expect(message).toMatch(/^"huge" needs about [\d,.]+ GB of memory, and .* has [\d,.]+ GB/);
  expect(remedy).toMatch(/^It fits with: .*batch \d+ with \d+ passes a step .*\.$/i);
  expect(core.runs.list()).toEqual([]);
  const { run: started } = await core.runs.start({ ...run, force: true });
  expect(started.state).toBe('queued');
  // Rows are shorter than the context: what only the longest possible rows exceed is no reason.
  await core.runs.start({ ...run, name: 'small', config: config() });
});

it('asks before a study of which a run does not fit', async () => {
  const core = await openCore();
  const study = {
    name: 'pair',
    model: 'tiny',
    dataset: 'sums',
    question: {
      kind: 'equal_budget' as const,
      methods: ['lora' as const],
      seeds: [0],
      budget: { unit: 'parameters' as const, most: 6000 },
      config: config(enormous),
    },
  };
  await expect(core.studies.start(study)).rejects.toMatchObject({ code: 'does_not_fit' });
  expect(core.studies.list()).toEqual([]);
  expect(core.runs.list()).toEqual([]);
  expect((await core.studies.start({ ...study, force: true })).started).toHaveLength(1);
});

const misfit = { code: 'does_not_fit', message: expect.stringMatching(/needs about [\d,.]+ GB/) as string };

it('asks before a run goes on that does not fit, alone or with its study', async () => {
  const core = await openCore();
  const run = { name: 'huge', model: 'tiny', dataset: 'sums', config: config(enormous) };
  await core.runs.start({ ...run, force: true });
  const rested = await core.runs.pause('huge');
  expect(rested).toMatchObject({ state: 'paused', resumable: true });
  await expect(core.runs.resume('huge')).rejects.toMatchObject({
    ...misfit,
    // It cannot change its batch on its way.
    remedy: expect.stringMatching(/^A new run of this configuration fits with: /) as string,
  });
  expect(core.runs.get('huge')).toEqual(rested);
  expect((await core.runs.resume('huge', undefined, {}, { force: true })).run.state).toBe('queued');

  const question = {
    kind: 'equal_budget' as const,
    methods: ['lora' as const],
    seeds: [0, 1],
    budget: { unit: 'parameters' as const, most: 6000 },
    config: config(enormous),
  };
  const { study } = await core.studies.start({
    name: 'pair',
    model: 'tiny',
    dataset: 'sums',
    question,
    force: true,
  });
  const [first] = study.runs;
  await core.runs.pause(first!.runId);
  await expect(core.studies.resume('pair')).rejects.toMatchObject(misfit);
  expect(core.runs.get(first!.runId).state).toBe('paused');
  const { started } = await core.studies.resume('pair', undefined, { force: true });
  expect(started.map(({ run: { state } }) => state)).toEqual(['queued', 'queued']);
});

it('asks before a few steps are measured that do not fit', async () => {
  const core = await openCore();
  const given = { model: 'tiny', dataset: 'sums', config: config(enormous), steps: 2 };
  const { signal } = new AbortController();
  await expect(core.forecasts.probe(given, signal)).rejects.toMatchObject(misfit);
  // The next one may begin: nothing is under way.
  const small = await core.forecasts.probe({ ...given, config: config() }, signal);
  expect(small.measured.steps).toBeGreaterThan(0);
});

it('asks before a branch that does not fit', async () => {
  const { core, home } = await openTrainingCore();
  const { ended } = await core.runs.start({
    name: 'parent',
    model: 'tiny',
    dataset: 'sums',
    config: config(),
  });
  const parent = await ended;
  core.close();
  // As if this machine had become smaller than the one that the parent was trained on.
  const database = openWritable(join(home, 'studio.db'));
  updateRun(database, { ...parent, config: { ...parent.config, ...enormous } });
  database.writable.close();
  const again = openCoreOn(home);
  open.push(again);
  again.runs.queue.begin();
  again.runs.queue.hold(true);
  const request = { step: 1, name: 'branch', changes: { maxSteps: 2 } };
  await expect(again.runs.branch('parent', request)).rejects.toMatchObject(misfit);
  expect(again.runs.list().map(({ name }) => name)).toEqual(['parent']);
  const { run } = await again.runs.branch('parent', { ...request, force: true });
  expect(run).toMatchObject({ state: 'queued', parent: { step: 1 } });
});
