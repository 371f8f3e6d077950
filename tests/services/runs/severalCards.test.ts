import { afterAll, afterEach, expect, it } from 'vitest';
import type { Run } from '../../../src-main/contract/entities.ts';
import type { StudioEvent } from '../../../src-main/contract/events.ts';
import { procedures } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import { pretendCards } from '../../support/cards/pretendCards.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { fixtures } from '../../support/paths.ts';
import { patienceMs } from '../../support/patience.ts';

const pretended = pretendCards(2);
afterAll(() => pretended.close());

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

function openCoreOn(home: string): Core {
  const core = createCore({
    home,
    project: 'default',
    mode: 'write',
    engine: pretended.engine(),
    cards: pretended.cards,
  });
  open.push(core);
  return core;
}

/** A core on two pretended cards whose engine has said what it computes on. */
async function openCore() {
  const { core: first, home, dataFile } = openTestCore();
  first.close();
  const core = openCoreOn(home);
  await core.models.add({ folder: `${fixtures}/tiny-llama`, name: 'tiny', copy: false });
  await core.datasets.add({ path: dataFile, name: 'sums', format: 'auto' });
  const doctor = await core.handlers['studio.doctor']({}, { signal: neverAborted });
  const events: StudioEvent[] = [];
  core.events.subscribe(null, ({ event }) => events.push(event));
  const start = (name: string, maxSteps = 3) => {
    const config = trainConfigSchema.parse({
      adapter: { method: 'lora', rank: 2, alpha: 4 },
      maxSteps,
      batch: 2,
      context: 64,
      checkpointEvery: 0,
    });
    return core.runs.start({ name, model: 'tiny', dataset: 'sums', config });
  };
  const trains = (name: string) =>
    expect.poll(() => core.runs.get(name).step, { timeout: patienceMs }).toBeGreaterThan(0);
  return { core, home, doctor, events, start, trains };
}

const state = (core: Core) => core.runs.queue.state();
const running = (core: Core) => state(core).running.map(({ name }) => name);
const waiting = (core: Core) => state(core).waiting.map(({ name }) => name);
const ends = (...started: { ended: Promise<Run> }[]) => Promise.all(started.map(({ ended }) => ended));

/** How many runs were running at once, after each event. */
function together(events: readonly StudioEvent[]): number[] {
  const now = new Set<string>();
  return events.map((event) => {
    if (event.type === 'run' && event.run.state === 'running') now.add(event.run.id);
    else if (event.type === 'run') now.delete(event.run.id);
    return now.size;
  });
}

it('trains one run on each card, in the order of the queue, and never more', async () => {
  const { core, doctor, events, start, trains } = await openCore();
  expect(doctor.checks.find(({ name }) => name === 'cards')!.detail).toContain('1: NVIDIA L40');
  const [a, b, c, d] = [await start('a', 400), await start('b', 400), await start('c'), await start('d')];
  expect(state(core)).toMatchObject({ cards: 2, atOnce: 'all' });
  expect([running(core), waiting(core)]).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  core.runs.queue.move(d.run.id, c.run.id);
  await Promise.all([trains('a'), trains('b')]);
  const cardOf = (name: string) => core.runs.get(name).environment!.card!;
  expect([cardOf('a').id, cardOf('b').id].sort()).toEqual(['0', '1']);
  expect(cardOf('a')).toMatchObject({ name: 'NVIDIA L40', capability: '8.9', memoryBytes: 24564 * 2 ** 20 });
  expect((await ends(a, b, c, d)).map((run) => run.state)).toEqual(['done', 'done', 'done', 'done']);
  expect(together(events).reduce((most, count) => Math.max(most, count), 0)).toBe(2);
  const begun = events.flatMap((event) =>
    event.type === 'run' && event.run.state === 'running' ? [event.run.name] : [],
  );
  expect([...new Set(begun)]).toEqual(['a', 'b', 'd', 'c']);
  expect(events.findLast((event) => event.type === 'queue')).toMatchObject({
    queue: { running: [], waiting: [] },
  });
});

it('follows the memory of the card, and keeps card, peak and products with the run', async () => {
  const { core, start, trains } = await openCore();
  pretended.useBy([]);
  const run = await start('told', 20_000);
  await trains('told');
  const { id } = core.runs.get('told').environment!.card!;
  pretended.use(Number(id), 500 + 2000);
  await expect.poll(() => core.runs.get('told').step, { timeout: patienceMs }).toBeGreaterThan(5);
  // A look follows five seconds after the one before, at a step.
  await new Promise((resolve) => setTimeout(resolve, 6000));
  await core.runs.stop('told', { save: true });
  const { measured, environment, forecast } = await run.ended;
  expect(measured!.cardPeak).toEqual({ bytes: 2000 * 2 ** 20, by: 'card', note: null });
  expect(measured!.peakMemoryBytes).toBeGreaterThan(1e8);
  expect(environment).toMatchObject({ tf32: false, card: { id, name: 'NVIDIA L40' } });
  expect(forecast!.memoryBasis).toBe('model');
  const { lines } = core.runs.logs('told', { limit: 100 });
  expect(lines.map(({ line }) => line)).toContain(`trains on card ${id}: NVIDIA L40`);
  pretended.use(Number(id), 500);
});

it('ends one of two alone: paused, stopped or dead, the other trains on and the next takes the card', async () => {
  const { core, start, trains } = await openCore();
  const [a, b, c] = [await start('a', 20_000), await start('b', 20_000), await start('c', 20_000)];
  await Promise.all([trains('a'), trains('b')]);
  const card = core.runs.get('a').environment!.card!.id;
  expect(await core.runs.pause('a')).toMatchObject({ state: 'paused', resumable: true });
  expect((await a.ended).state).toBe('paused');
  await trains('c');
  expect(running(core)).toEqual(['b', 'c']);
  expect(core.runs.get('c').environment!.card!.id).toBe(card);

  // The process of the one that began last dies.
  process.kill(pretended.pids.at(-1)!, 'SIGKILL');
  expect(await c.ended).toMatchObject({ state: 'failed', error: { code: 'out_of_memory' } });
  await expect.poll(() => running(core)).toEqual(['b']);
  const again = await core.runs.resume('a');
  expect(again.run.state).toBe('running');
  expect(running(core)).toEqual(['b', 'a']);
  await core.runs.stop('a', { save: false });
  expect((await again.ended).state).toBe('stopped');
  expect(core.runs.get('b').state).toBe('running');
  await expect(core.runs.resume('b')).rejects.toMatchObject({ code: 'busy' });
  expect(() => core.runs.remove('b')).toThrow('running');
  await core.runs.stop('b', { save: true });
  await b.ended;
});

it('trains one at a time where the user wants that; what trains goes on', async () => {
  const { core, home, start } = await openCore();
  const [a, b, c] = [await start('a', 100), await start('b', 20_000), await start('c', 20_000)];
  core.runs.queue.trainAtOnce('one');
  expect(state(core).atOnce).toBe('one');
  expect(running(core)).toEqual(['a', 'b']);
  await a.ended;
  // The other still trains, and no third has begun.
  await expect.poll(() => running(core)).toEqual(['b']);
  expect(waiting(core)).toEqual(['c']);
  await core.runs.stop('b', { save: false });
  await b.ended;
  await expect.poll(() => running(core)).toEqual(['c']);
  const d = await start('d');
  expect(waiting(core)).toEqual(['d']);
  core.runs.queue.trainAtOnce('all');
  expect(running(core)).toEqual(['c', 'd']);
  core.runs.queue.trainAtOnce('one');
  await core.runs.stop('c', { save: false });
  await ends(c, d);
  core.close();
  expect(openCoreOn(home).runs.queue.state().atOnce).toBe('one');
});

it('pauses all that train when the studio ends, and finds all interrupted that it left', async () => {
  const { core, home, start, trains } = await openCore();
  const [a, b] = [await start('a', 20_000), await start('b', 20_000)];
  await start('c');
  await Promise.all([trains('a'), trains('b')]);
  await core.runs.suspend();
  expect((await ends(a, b)).map((run) => [run.state, run.resumable])).toEqual([
    ['paused', true],
    ['paused', true],
  ]);
  core.close();
  const second = openCoreOn(home);
  expect(waiting(second)).toEqual(['c']);
  await second.handlers['studio.doctor']({}, { signal: neverAborted });
  second.runs.queue.hold(true);
  const [again, other] = [await second.runs.resume('a'), await second.runs.resume('b')];
  expect(running(second)).toEqual(['a', 'b']);
  second.close();
  await Promise.allSettled([again.ended, other.ended]);
  const third = openCoreOn(home);
  expect(['a', 'b', 'c'].map((name) => third.runs.get(name).state)).toEqual([
    'interrupted',
    'interrupted',
    'queued',
  ]);
});

it('scores on a card that has no run, what waits for a training too, and leaves a card to runs that wait', async () => {
  const { core, events, start, trains } = await openCore();
  core.runs.queue.begin();
  core.scoring.begin();
  const [a, b] = [await start('a', 20_000), await start('b', 20)];
  const score = (adapter: string | null, limit: number) => ({
    kind: 'score' as const,
    input: {
      model: 'tiny',
      adapter,
      benchmark: 'exact_match',
      data: { dataset: 'sums' },
      limit,
      maxTokens: 2,
    },
  });
  const add = (...tasks: ReturnType<typeof score>[]) =>
    core.scoring.add(procedures['scoring.add'].input.parse({ tasks }).tasks, null);
  const [first] = await add(score('b', 3));
  expect(first!.after).toEqual([b.run.id]);
  await trains('a');
  // It is scored while the other still trains.
  await expect.poll(() => core.scoring.state().ended[0]?.id, { timeout: patienceMs }).toBe(first!.id);
  expect(core.scoring.state().ended[0]).toMatchObject({ state: 'done', error: null });
  expect(running(core)).toEqual(['a']);

  await core.runs.stop('a', { save: true });
  await a.ended;
  // Two cards and no run: two at once, and of one subject one after the other.
  await add(score('a', 20), score('a', 21), score(null, 20));
  const scored = () => core.scoring.state().running.map(({ title }) => title);
  expect(scored()).toEqual(['a by exact_match, 20 items', 'tiny (base) by exact_match, 20 items']);
  // Each tells its own progress.
  const entries = core.scoring.state().running.map(({ id }) => id);
  const told = () => new Set(events.flatMap((event) => (event.type === 'progress' ? [event.entry] : [])));
  await expect.poll(() => entries.every((id) => told().has(id))).toBe(true);
  // A run that is started begins all the same, and a second one when a card has neither run nor score.
  const [c, d] = [await start('c', 20_000), await start('d')];
  expect([running(core), waiting(core)]).toEqual([['c'], ['d']]);
  expect((await d.ended).state).toBe('done');
  await core.runs.stop('c', { save: false });
  await c.ended;
  await core.scoring.idle();
  expect(core.scoring.state().ended.map(({ state: how }) => how)).toEqual(['done', 'done', 'done', 'done']);
});
