import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { StudioError } from '../../src-main/contract/errors.ts';
import type { StudioEvent } from '../../src-main/contract/events.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import type { Core } from '../../src-main/core/createCore.ts';
import { neverAborted, openCoreOn, openTestCore } from '../support/core.ts';
import { tinyLlama } from '../support/paths.ts';
import { checkpointFiles } from '../support/trainingRun.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 2, alpha: 4 },
  maxSteps: 3,
  batch: 2,
  context: 64,
  heldOutFraction: 0.2,
});

let core: Core;
let home: string;
let dataFile: string;
const events: StudioEvent[] = [];

beforeEach(async () => {
  ({ core, home, dataFile } = openTestCore());
  await core.models.add({ folder: tinyLlama, name: 'tiny', copy: true });
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  core.events.subscribe(null, ({ event }) => events.push(event));
});
afterEach(() => {
  vi.useRealTimers();
  core.close();
});

const train = async (name: string) =>
  (await core.runs.start({ name, model: 'tiny', dataset: 'sums', config })).ended;
const files = (folder: string) => {
  const path = join(home, folder);
  return existsSync(path) ? readdirSync(path) : [];
};

/** The studio as a process that died left it: nothing that close does was done. */
function reopenAfterDeath(): void {
  vi.spyOn(core.trash, 'empty').mockImplementation(() => undefined);
  core.close();
  core = openCoreOn(home);
}

it('brings a run back whole: curves, checkpoints, evaluations, notes', async () => {
  const trained = await train('mine');
  core.runs.annotate('mine', { notes: 'the good one', tags: ['keep'] });
  const settings = { model: 'tiny', benchmark: 'perplexity', data: null, limit: null } as const;
  const evaluation = await core.evaluations.start(
    { ...settings, adapter: 'mine', shots: 0, maxTokens: 8, seed: 0, precision: 'f32' },
    neverAborted,
  );
  const whole = core.runs.get('mine');
  const curves = core.runs.curves('mine');
  const checkpoint = checkpointFiles(core.runs.checkpoint(whole)!);
  expect(await core.runs.freedBytes('mine')).toBeGreaterThan(1000);

  core.runs.remove('mine');
  expect(events.at(-1)).toEqual({ type: 'run.removed', runId: trained.id });
  expect(core.runs.list()).toEqual([]);
  expect(core.evaluations.list()).toEqual([]);
  expect(core.projects.list()[0]).toMatchObject({ runs: 0 });
  expect(() => core.runs.get('mine')).toThrow('no run "mine"');
  expect(() => core.runs.get(trained.id)).toThrow('no run');

  expect(core.runs.restore(trained.id)).toEqual(whole);
  expect(core.runs.list()).toEqual([whole]);
  expect(core.runs.curves('mine')).toEqual(curves);
  expect(checkpointFiles(core.runs.checkpoint(whole)!)).toEqual(checkpoint);
  expect(core.evaluations.list()).toEqual([evaluation]);
  expect(events.slice(-2)).toEqual([
    { type: 'run', run: whole },
    { type: 'evaluation', evaluation },
  ]);
});

it('frees the name at once; what comes back to a name that is taken gets the next one', async () => {
  const first = await train('mine');
  core.runs.remove('mine');
  const second = await train('mine');
  expect(second.id).not.toBe(first.id);
  expect(core.runs.restore(first.id)).toMatchObject({ id: first.id, name: 'mine-2' });
  expect(core.runs.get('mine').id).toBe(second.id);

  const sums = core.datasets.get('sums');
  core.runs.remove(first.id);
  core.runs.remove(second.id);
  core.datasets.remove('sums');
  const again = await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  expect(core.datasets.restore(sums.id)).toMatchObject({ id: sums.id, name: 'sums-2' });
  expect(core.datasets.list().map(({ id }) => id)).toEqual([again.id, sums.id]);
});

it('brings models and datasets back with their files, which go after a minute', async () => {
  const model = core.models.get('tiny');
  const dataset = core.datasets.get('sums');
  core.models.remove('tiny');
  core.datasets.remove('sums');
  expect([core.models.list(), core.datasets.list()]).toEqual([[], []]);
  expect(core.models.restore(model.id)).toEqual(model);
  expect(core.datasets.restore(dataset.id)).toEqual(dataset);
  expect((await train('works')).state).toBe('done');
  core.runs.remove('works');

  vi.useFakeTimers();
  core.models.remove('tiny');
  core.datasets.remove('sums');
  vi.advanceTimersByTime(59_000);
  expect(files('models')).toEqual([model.id]);
  vi.advanceTimersByTime(2000);
  expect(files('models')).toEqual([]);
  expect(files('datasets')).toEqual([]);
  expect(() => core.models.restore(model.id)).toThrow('deleted for good');
  expect(() => core.datasets.restore(dataset.id)).toThrow('deleted for good');
});

it('brings a model and a dataset back with the run that needs them, and says at once what a run lacks that is to go on', async () => {
  const paused = await core.runs.start(
    {
      name: 'mine',
      model: 'tiny',
      dataset: 'sums',
      config: { ...config, maxSteps: 500 },
    },
    ({ type }) => {
      if (type === 'step') void core.runs.pause('mine');
    },
  );
  const { id, modelId, datasetId } = await paused.ended;
  core.runs.remove('mine');
  core.models.remove('tiny');
  core.datasets.remove('sums');
  expect(core.runs.restore(id)).toMatchObject({ state: 'paused', resumable: true });
  expect(core.models.get('tiny').id).toBe(modelId);
  expect(core.datasets.get('sums').id).toBe(datasetId);

  core.runs.remove('mine');
  core.models.remove('tiny');
  const restore = vi.spyOn(core.models, 'restore').mockImplementation(() => {
    throw new StudioError('not_found', 'It is deleted for good.', 'Add it again.');
  });
  core.runs.restore(id);
  restore.mockRestore();
  const refusal = {
    code: 'not_found',
    message: expect.stringContaining('The model “tiny” of the run “mine” was deleted') as string,
    remedy: expect.stringContaining('add the model again') as string,
  };
  await expect(core.runs.resume('mine')).rejects.toMatchObject(refusal);
  await expect(
    core.runs.branch('mine', { step: core.runs.get('mine').step, name: 'twig', changes: {} }),
  ).rejects.toThrow('was deleted');
  expect(core.runs.get('mine')).toMatchObject({ state: 'paused', resumable: true });
  core.models.restore(modelId);
  core.datasets.get('sums');
  expect((await core.runs.resume('mine')).run.name).toBe('mine');
  await core.runs.stop('mine', { save: false });
});

it('keeps the copy of a dataset that another one has, too', async () => {
  const other = await core.datasets.add({ path: dataFile, name: 'other', format: 'auto' });
  core.datasets.remove('sums');
  core.trash.empty();
  expect((await core.datasets.rows(other.id, { offset: 0, limit: 1 })).rows).toHaveLength(1);
  core.datasets.remove('other');
  core.trash.empty();
  expect(files('datasets')).toEqual([]);
});

it('deletes at the next start what a dead process had removed, and at the end what this one has', async () => {
  const { id } = await train('mine');
  core.runs.remove('mine');
  expect(files('runs')).toEqual([id]);
  reopenAfterDeath();
  expect(files('runs')).toEqual([]);
  expect(() => core.runs.restore(id)).toThrow('deleted for good');
  const model = core.models.get('tiny');
  core.models.remove('tiny');
  expect(files('models')).toEqual([model.id]);
  core.close();
  expect(files('models')).toEqual([]);
});

it('takes a waiting run out of the queue, and brings it back as one that was taken out', async () => {
  core.runs.queue.begin();
  core.runs.queue.hold(true);
  const { run, ended } = await core.runs.start({ name: 'waits', model: 'tiny', dataset: 'sums', config });
  core.runs.remove('waits');
  expect((await ended).state).toBe('stopped');
  expect(core.runs.queue.state().waiting).toEqual([]);
  expect(core.runs.restore(run.id)).toMatchObject({ state: 'stopped', resumable: true });
});
