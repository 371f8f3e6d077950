import { afterEach, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { trainConfigSchema, type TrainConfigInput } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openCoreOn, openTrainingCore } from '../../support/core.ts';
import { sampleRun } from '../../support/sampleRun.ts';

const config = (rest: Partial<TrainConfigInput> = {}) =>
  trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    maxSteps: 3,
    batch: 2,
    context: 64,
    ...rest,
  });

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

async function openCore() {
  const { core, home } = await openTrainingCore();
  open.push(core);
  const events: StudioEvent[] = [];
  core.events.subscribe(null, ({ event }) => events.push(event));
  const start = (name: string, rest: Partial<TrainConfigInput> = {}) =>
    core.runs.start({ name, model: 'tiny', dataset: 'sums', config: config(rest) });
  return { core, home, events, start };
}

function reopen(core: Core, home: string): Core {
  core.close();
  const again = openCoreOn(home);
  open.push(again);
  return again;
}

/** Names of the runs that wait, first to last. */
const waiting = (core: Core) => core.runs.queue.state().waiting.map(({ name }) => name);
const states = (core: Core, ...names: string[]) => names.map((name) => core.runs.get(name).state);
const ends = (...started: { ended: Promise<Run> }[]) => Promise.all(started.map(({ ended }) => ended));

/** Names of runs in the order in which they were told to run. */
function begun(events: readonly StudioEvent[]): string[] {
  const names = events.flatMap((event) =>
    event.type === 'run' && event.run.state === 'running' ? [event.run.name] : [],
  );
  return [...new Set(names)];
}

it('trains one run after another, in the order that a person gives them', async () => {
  const { core, events, start } = await openCore();
  const a = await start('a', { maxSteps: 40 });
  const others = [await start('b'), await start('c'), await start('d')];
  expect(a.run.state).toBe('running');
  expect(others.map(({ run }) => run.state)).toEqual(['queued', 'queued', 'queued']);
  const [b, c, d] = others.map(({ run }) => run.id);
  core.runs.queue.move(d!, b!);
  expect(waiting(core)).toEqual(['d', 'b', 'c']);
  // In front of itself it stays where it is.
  core.runs.queue.move(b!, b!);
  expect(waiting(core)).toEqual(['d', 'b', 'c']);
  core.runs.queue.move(b!, null);
  expect(waiting(core)).toEqual(['d', 'c', 'b']);
  // A run in front of which another is put may have left the queue meanwhile: it was at its front.
  core.runs.queue.move(c!, a.run.id);
  expect(waiting(core)).toEqual(['c', 'd', 'b']);
  expect(() => core.runs.queue.move(a.run.id, b!)).toThrow('does not wait');
  expect((await ends(a, ...others)).map(({ state }) => state)).toEqual(['done', 'done', 'done', 'done']);
  expect(begun(events)).toEqual(['a', 'c', 'd', 'b']);
  const endedFirst = events.findIndex(
    (e) => e.type === 'run' && e.run.name === 'a' && e.run.state === 'done',
  );
  const begunSecond = events.findIndex(
    (e) => e.type === 'run' && e.run.name === 'c' && e.run.state === 'running',
  );
  expect(endedFirst).toBeLessThan(begunSecond);
  expect(events.findLast((event) => event.type === 'queue')).toEqual({
    type: 'queue',
    queue: { isHeld: false, cards: 0, atOnce: 'all', running: [], waiting: [] },
  });
});

it('checks a run when it is queued; one that fails at its turn does not stop the others', async () => {
  const { core, start } = await openCore();
  const first = await start('first');
  await expect(start('first')).rejects.toMatchObject({ code: 'name_taken' });
  await expect(start('bad', { adapter: { method: 'idlora', rank: 5, alpha: 8 } })).rejects.toMatchObject({
    code: 'config_invalid',
  });
  const failing = await start('failing', { context: 8 });
  const last = await start('last');
  const ended = await ends(first, failing, last);
  expect(ended.map(({ state }) => state)).toEqual(['done', 'failed', 'done']);
  expect(ended[1]!.error).toMatchObject({ code: 'dataset_invalid' });
  expect(core.runs.get('failing').resumable).toBe(true);
});

it('takes a run out, which can be queued again: it then is the first', async () => {
  const { core, start } = await openCore();
  const a = await start('a', { maxSteps: 60 });
  const b = await start('b');
  const c = await start('c');
  const d = await start('d');
  expect(await core.runs.stop('c', { save: true })).toMatchObject({ state: 'stopped', resumable: true });
  expect(await c.ended).toMatchObject({ state: 'stopped', step: 0 });
  expect(await core.runs.pause('d')).toMatchObject({ state: 'paused', resumable: true });
  expect(waiting(core)).toEqual(['b']);
  const again = await core.runs.resume('c');
  expect(again.run).toMatchObject({ state: 'queued', endReason: null, endedAt: null });
  expect(waiting(core)).toEqual(['c', 'b']);
  await expect(core.runs.resume('c')).rejects.toMatchObject({
    message: expect.stringContaining('waits') as string,
  });
  core.runs.remove('b');
  expect(await b.ended).toMatchObject({ state: 'stopped' });
  expect(waiting(core)).toEqual(['c']);
  await ends(a, again);
  expect(await d.ended).toMatchObject({ state: 'paused' });
  expect(states(core, 'a', 'c', 'd')).toEqual(['done', 'done', 'paused']);
});

it('is held and goes on; what was running goes on meanwhile', async () => {
  const { core, start } = await openCore();
  const a = await start('a', { maxSteps: 10 });
  core.runs.queue.begin();
  core.runs.queue.hold(true);
  const b = await start('b');
  expect((await a.ended).state).toBe('done');
  expect(states(core, 'b')).toEqual(['queued']);
  expect(core.runs.queue.state()).toMatchObject({ isHeld: true });
  core.runs.queue.hold(false);
  expect((await b.ended).state).toBe('done');
});

it('survives a restart: order and hold stay, what ran is interrupted, and the next one goes on', async () => {
  const { core, home, start } = await openCore();
  const a = await start('a', { maxSteps: 5000, checkpointEvery: 1 });
  const b = await start('b');
  const c = await start('c');
  core.runs.queue.move(c.run.id, b.run.id);
  core.runs.queue.hold(true);
  await new Promise<void>((resolve) =>
    core.events.subscribe(null, ({ event }) => {
      if (event.type === 'run.steps' && event.steps.at(-1)!.step >= 3) resolve();
    }),
  );
  const second = reopen(core, home);
  await a.ended.catch(() => null);
  expect(states(second, 'a', 'b', 'c')).toEqual(['interrupted', 'queued', 'queued']);
  expect(second.runs.get('a')).toMatchObject({ resumable: true });
  expect(waiting(second)).toEqual(['c', 'b']);
  second.runs.queue.begin();
  expect(states(second, 'b', 'c')).toEqual(['queued', 'queued']);
  const turns: string[] = [];
  const bothDone = new Promise<void>((resolve) =>
    second.events.subscribe(null, ({ event }) => {
      if (event.type !== 'run') return;
      const { name, state } = event.run;
      if (turns.at(-1) !== `${name} ${state}`) turns.push(`${name} ${state}`);
      if (name === 'b' && state === 'done') resolve();
    }),
  );
  second.runs.queue.hold(false);
  await bothDone;
  // One after the other, also where nobody waits for a run's end.
  expect(turns).toEqual(['c running', 'c done', 'b running', 'b done']);
  expect(states(second, 'a', 'b', 'c')).toEqual(['interrupted', 'done', 'done']);
});

it('a process that only trains a run of its own leaves the queue alone, held or not', async () => {
  const { core, home, start } = await openCore();
  await start('a', { maxSteps: 5000 });
  await start('left');
  core.runs.queue.hold(true);
  const second = reopen(core, home);
  const own = await second.runs.start({ name: 'own', model: 'tiny', dataset: 'sums', config: config() });
  expect((await own.ended).state).toBe('done');
  expect(states(second, 'left')).toEqual(['queued']);
});

it('suspends: the run that trains is paused with a checkpoint, and no other is begun', async () => {
  const { core, home, start } = await openCore();
  const a = await start('a', { maxSteps: 5000 });
  await start('b');
  await new Promise<void>((resolve) =>
    core.events.subscribe(null, ({ event }) => {
      if (event.type === 'run.steps' && event.steps.at(-1)!.step >= 3) resolve();
    }),
  );
  await core.runs.suspend();
  expect(await a.ended).toMatchObject({ state: 'paused', resumable: true });
  expect(core.runs.checkpoint(core.runs.get('a'))).not.toBeNull();
  const second = reopen(core, home);
  expect(states(second, 'a', 'b')).toEqual(['paused', 'queued']);
});

it('is one for all projects: a run goes on and the next begins while another project is open', async () => {
  const { core, start } = await openCore();
  const a = await start('a', { maxSteps: 20 });
  const b = await start('b');
  core.projects.create('Other');
  core.projects.open('Other');
  const c = await start('a');
  expect(core.runs.queue.state()).toMatchObject({
    running: [{ name: 'a', project: 'default' }],
    waiting: [
      { name: 'b', project: 'default' },
      { name: 'a', project: 'Other' },
    ],
  });
  expect((await ends(a, b, c)).map(({ state }) => state)).toEqual(['done', 'done', 'done']);
  expect(core.runs.list().map(({ id }) => id)).toEqual([c.run.id]);
});

it('resumes together what waits and what ended, around the run that trains, or nothing of it', async () => {
  const { core, events, start } = await openCore();
  const a = await start('a', { maxSteps: 400 });
  const b = await start('b');
  const c = await start('c');
  const d = await start('d');
  await core.runs.stop('d', { save: true });
  const runs = (...names: string[]) => names.map((name) => core.runs.get(name));
  core.runs.queue.hold(true);
  core.runs.queue.begin();

  // One of them cannot go on: all stays as it was.
  const stuck = { ...sampleRun({ name: 'stuck', state: 'stopped', step: 5 }), modelId: a.run.modelId };
  const told = events.length;
  await expect(core.runs.resumeTogether([...runs('d', 'c'), stuck])).rejects.toThrow('stuck');
  expect(waiting(core)).toEqual(['b', 'c']);
  expect(states(core, 'd')).toEqual(['stopped']);
  expect(events.slice(told).filter(({ type }) => type === 'queue')).toEqual([]);

  const started = await core.runs.resumeTogether(runs('d', 'a', 'c'));
  expect(started.map(({ run }) => run.name)).toEqual(['d', 'c']);
  expect(waiting(core)).toEqual(['d', 'c', 'b']);
  expect(states(core, 'a', 'b', 'c', 'd')).toEqual(['running', 'queued', 'queued', 'queued']);
  await core.runs.stop('a', { save: false });
  core.runs.queue.hold(false);
  expect((await ends(...started, b, d)).map(({ state }) => state)).toEqual([
    'done',
    'done',
    'done',
    'stopped',
  ]);
  // Who waited for the run's turn so far hears that it was queued anew.
  expect((await c.ended).state).toBe('queued');
});

it('tells nobody of runs that could not be stored', async () => {
  const { core, events } = await openCore();
  const run = sampleRun({ name: 'never', state: 'queued' });
  const told = events.length;
  const record = () => {
    throw new Error('the disk is full');
  };
  expect(() => core.runs.startTogether([run], { record })).toThrow('full');
  expect(events.slice(told)).toEqual([]);
  expect(core.runs.list()).toEqual([]);
});
