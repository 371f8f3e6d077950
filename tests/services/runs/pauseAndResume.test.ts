import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import type { EngineEvent } from '../../../src-main/engine/messages.ts';
import { checkpointStep } from '../../../src-main/formats/checkpoint/checkpointFolder.ts';
import { openCoreOn, openTrainingCore } from '../../support/core.ts';
import { checkpointFiles } from '../../support/trainingRun.ts';

const config = trainConfigSchema.parse({
  adapter: { method: 'idlora', rank: 4, alpha: 8, clusters: 2, dropout: 0.1 },
  maxSteps: 24,
  batch: 2,
  context: 64,
  heldOutFraction: 0.2,
  evalEvery: 7,
  checkpointEvery: 0,
});

let core: Core;
let home: string;
beforeAll(async () => {
  ({ core, home } = await openTrainingCore());
});
afterAll(() => core.close());

const start = (name: string, watch?: (event: EngineEvent) => void) =>
  core.runs.start({ name, model: 'tiny', dataset: 'sums', config }, watch);
const losses = (name: string) => core.runs.curves(name).steps.map(({ step, loss }) => [step, loss]);
const state = (run: Run) => checkpointFiles(core.runs.checkpoint(run)!);

it('a run that is paused twice and resumed equals an uninterrupted one bit for bit', async () => {
  const whole = await (await start('whole')).ended;
  let paused: Promise<Run> | null = null;
  const first = await start('cut', (event) => {
    if (event.type === 'step' && event.step === 5) paused = core.runs.pause('cut');
  });
  expect(await first.ended).toMatchObject({ state: 'paused', endReason: null, resumable: true });
  expect(await paused).toEqual(core.runs.get('cut'));
  expect(core.runs.get('cut').environment!.parts).toEqual({ queryBlock: 128, logitElements: 2 ** 22 });
  const second = await core.runs.resume('cut', (event) => {
    if (event.type === 'step' && event.step === 12) void core.runs.pause('cut');
  });
  const again = await second.ended;
  expect(again.state).toBe('paused');
  expect(again.step).toBeGreaterThanOrEqual(12);
  expect(checkpointStep(core.runs.checkpoint(again)!)).toBe(again.step);
  const end = await (await core.runs.resume('cut')).ended;
  expect(end).toMatchObject({ state: 'done', endReason: 'all_steps', step: 24 });
  expect(losses('cut')).toEqual(losses('whole'));
  expect(core.runs.curves('cut').evals).toEqual(core.runs.curves('whole').evals);
  expect(state(end)).toEqual(state(whole));
});

it('stops and pauses while the data is prepared and before the engine listens', async () => {
  const prepared = await start('prepared');
  expect(prepared.run.state).toBe('running');
  expect(await core.runs.stop('prepared', { save: true })).toMatchObject({
    state: 'stopped',
    endReason: 'stop_requested',
    step: 0,
    resumable: true,
    dataContract: null,
  });
  // The data is in the cache and the engine known now: this one is ended as soon as its process is started.
  const early = await start('early');
  await new Promise<void>((resolve) => {
    const unsubscribe = core.events.subscribe(null, ({ event }) => {
      if (event.type !== 'run' || event.run.dataContract === null) return;
      unsubscribe();
      setImmediate(resolve);
    });
  });
  expect(await core.runs.pause('early')).toMatchObject({ state: 'paused', step: 0, resumable: true });
  expect((await early.ended).state).toBe('paused');
  expect(losses('early')).toEqual([]);
  const done = await (await core.runs.resume('early')).ended;
  expect(done.state).toBe('done');
  expect(state(done)).toEqual(state(core.runs.get('whole')));
});

it('refuses to resume a run that is done, and takes the steps that it is given more', async () => {
  const done = core.runs.get('cut');
  for (const changes of [{}, { learningRate: 1e-5 }, { maxSteps: 20 }])
    await expect(core.runs.resume('cut', undefined, changes)).rejects.toMatchObject({
      code: 'config_invalid',
      message: 'The run "cut" is done: it has taken all of its 24 steps.',
      option: ['maxSteps'],
    });
  expect(core.runs.get('cut')).toEqual(done);
  const longer = await (await core.runs.resume('cut', undefined, { maxSteps: 26 })).ended;
  expect(longer).toMatchObject({ state: 'done', step: 26, measured: { steps: 2 } });
});

it('stops without saving: nothing is kept to go on from', async () => {
  const { ended } = await start('discarded', (event) => {
    if (event.type === 'step' && event.step === 5) void core.runs.stop('discarded', { save: false });
  });
  const discarded = await ended;
  expect(discarded).toMatchObject({ state: 'stopped', resumable: false });
  await expect(core.runs.resume('discarded')).rejects.toMatchObject({ code: 'no_checkpoint' });
  expect(core.runs.checkpoint(discarded)).toBeNull();
});

it('a run that ends by itself before the pause reaches it is done', async () => {
  const { ended } = await start('late', (event) => {
    if (event.type === 'checkpoint' && event.step === 24) void core.runs.pause('late');
  });
  expect(await ended).toMatchObject({ state: 'done', step: 24 });
  expect(readFileSync(join(core.runs.checkpoint(core.runs.get('late'))!, 'state.json'), 'utf8')).toContain(
    '24',
  );
});

it('refuses to resume with what its checkpoint depends on, by name, and stays as it was', async () => {
  const { ended } = await start('fixed', (event) => {
    if (event.type === 'step' && event.step === 3) void core.runs.pause('fixed');
  });
  const paused = await ended;
  await expect(core.runs.resume('fixed', undefined, { batch: 4 })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('A resumed run cannot change batch (2 to 4)') as string,
  });
  expect(core.runs.get('fixed')).toEqual(paused);
  expect((await (await core.runs.resume('fixed', undefined, { maxSteps: 10 })).ended).step).toBe(10);
});

it('a run that was killed before its first checkpoint begins anew, says so, and equals an uninterrupted one', async () => {
  const whole = core.runs.get('whole');
  await new Promise<void>((resolve) => {
    void start('killed', (event) => {
      if (event.type === 'step' && event.step === 5) resolve();
    });
  });
  core.close();
  core = openCoreOn(home);
  expect(core.runs.get('killed')).toMatchObject({ state: 'interrupted', resumable: true, resumesAnew: true });
  const resumed = await core.runs.resume('killed');
  expect(resumed.run).toMatchObject({ step: 0, best: null, lastLoss: null, recentLoss: null });
  const end = await resumed.ended;
  expect(end).toMatchObject({ state: 'done', step: 24, resumesAnew: false });
  expect(losses('killed')).toEqual(losses('whole'));
  expect(state(end)).toEqual(state(whole));
  const { lines } = core.runs.logs('killed', { limit: 100 });
  expect(lines.map(({ line }) => line)).toContainEqual(
    expect.stringMatching(/begins anew with the same seed/),
  );
});
