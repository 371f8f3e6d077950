import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScoringEntry } from '../../../src-main/contract/evaluation/scoring.ts';
import { procedures, type ProcedureInput } from '../../../src-main/contract/procedures.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { neverAborted, openCoreOn, openTrainingCore } from '../../support/core.ts';
import { patienceMs } from '../../support/patience.ts';

/** Scores of a model without training: some 60 items, of which the first ones are asked. */
const score = (limit: number, more: object = {}) => ({
  kind: 'score' as const,
  input: { model: 'tiny', benchmark: 'exact_match', data: { dataset: 'sums' }, limit, maxTokens: 2, ...more },
});
const config = trainConfigSchema.parse({
  adapter: { method: 'lora', rank: 2, alpha: 4 },
  maxSteps: 2,
  batch: 2,
  context: 64,
});

describe('the queue of what is scored', () => {
  let core: Core;
  let home: string;
  beforeAll(async () => {
    ({ core, home } = await openTrainingCore());
  });
  afterAll(() => core.close());

  const add = (tasks: ProcedureInput<'scoring.add'>['tasks']) =>
    core.handlers['scoring.add'](procedures['scoring.add'].input.parse({ tasks }), { signal: neverAborted });
  const state = () => core.scoring.state();
  const limits = (entries: readonly ScoringEntry[]) =>
    entries.map(({ task }) => task.kind === 'score' && task.input.limit);
  const reopen = () => {
    core.close();
    core = openCoreOn(home);
  };

  it('refuses at once what cannot be scored, and queues nothing then', async () => {
    await expect(add([score(2), score(2, { model: 'nowhere' })])).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(add([score(2), score(2, { adapter: 'nobody' })])).rejects.toMatchObject({
      code: 'not_found',
    });
    await expect(add([score(2), score(2, { data: null })])).rejects.toMatchObject({ code: 'usage' });
    // Also of a run that is not trained yet, nothing is found out hours later.
    core.runs.queue.hold(true);
    const asked = { name: 'waits', model: 'tiny', dataset: 'sums', config };
    core.runs.queue.begin();
    await core.runs.start(asked);
    for (const adapter of [null, 'waits']) {
      const code = add([score(2), score(2, { benchmark: 'humaneval', adapter })]);
      await expect(code).rejects.toMatchObject({ code: 'consent_missing' });
      const unknown = add([score(2, { benchmark: 'nothing', adapter })]);
      await expect(unknown).rejects.toMatchObject({ code: 'usage' });
      const unsaid = add([score(2, { adapter, data: null })]);
      await expect(unsaid, String(adapter)).rejects.toMatchObject({ message: 'exact_match needs its data.' });
    }
    await core.runs.start({ ...asked, name: 'never' });
    await core.runs.stop('never', { save: false });
    const input = { runs: ['waits', 'never'], benchmark: 'exact_match', data: { dataset: 'sums' } };
    await expect(add([{ kind: 'compare', input }])).rejects.toMatchObject({ code: 'no_checkpoint' });
    core.runs.remove('never');
    const guards = [{ benchmark: 'humaneval', data: { dataset: 'sums' } }];
    await expect(add([{ kind: 'guards', input: { run: 'waits', guards } }])).rejects.toMatchObject({
      code: 'consent_missing',
    });
    core.runs.remove('waits');
    core.runs.queue.hold(false);
    expect(state()).toEqual({ running: [], waiting: [], ended: [], unreadable: [] });
  });

  it('keeps what waits, in its order, over a restart, and can be moved and taken out', async () => {
    const entries = await add([score(3), score(4), score(5)]);
    expect(entries.map(({ title }) => title)).toEqual(
      [3, 4, 5].map((limit) => `tiny (base) by exact_match, ${limit} items`),
    );
    // Nobody has begun the queue: a command line that scores one thing works on nobody's.
    expect(limits(state().waiting)).toEqual([3, 4, 5]);
    reopen();
    core.scoring.move(entries[2]!.id, entries[0]!.id);
    expect(limits(state().waiting)).toEqual([5, 3, 4]);
    // In front of itself it stays where it is.
    core.scoring.move(entries[1]!.id, entries[1]!.id);
    expect(limits(state().waiting)).toEqual([5, 3, 4]);
    core.scoring.move(entries[2]!.id, null);
    core.scoring.cancel([entries[1]!.id]);
    expect(limits(state().waiting)).toEqual([3, 5]);
    expect(() => core.scoring.move(entries[1]!.id, null)).toThrow(/does not wait/);
  });

  it('sets aside what it cannot read, tells it, and takes it out when asked', async () => {
    const [entry] = await add([score(3)]);
    core.close();
    const database = openWritable(join(home, 'studio.db'));
    const { entity } = database.writable
      .prepare('SELECT entity FROM scoring_queue WHERE id = ?')
      .get(entry!.id) as { entity: string };
    const insert = database.writable.prepare(
      `INSERT INTO scoring_queue (id, project, state, position, entity) VALUES (?, 'default', ?, 0, ?)`,
    );
    insert.run('later', 'running', entity.replaceAll('"score"', '"later"'));
    insert.run('damaged', 'waiting', '{');
    database.writable.close();
    core = openCoreOn(home);
    expect(state().waiting.map(({ id }) => id)).toContain(entry!.id);
    expect(state().unreadable).toEqual([
      { id: 'later', title: entry!.title, reason: expect.stringContaining('task.kind') as string },
      { id: 'damaged', title: 'damaged', reason: 'it is damaged' },
    ]);
    expect(core.scoring.require('later').id).toBe('later');
    core.scoring.cancel(['later', 'damaged', entry!.id]);
    expect(state().unreadable).toEqual([]);
  });

  it('scores one after another when it has begun, and tells the time that the next ones take', async () => {
    core.scoring.begin();
    await core.scoring.idle();
    const { ended, waiting, running } = state();
    expect([running, waiting]).toEqual([[], []]);
    expect(limits(ended)).toEqual([5, 3]);
    for (const { state: how, made } of ended) {
      expect(how).toBe('done');
      expect(core.evaluations.list().map(({ id }) => id)).toContain(made[0]);
    }
    reopen();
    const [entry] = await add([score(8)]);
    // Of the first three items none was known before, so that their time was measured.
    const { measured, n } = core.evaluations.list().find((one) => one.n === 3)!;
    expect(entry!.seconds).toBeCloseTo((8 * measured!.seconds) / n, 9);
    core.scoring.cancel([entry!.id]);
  });

  it('answers at once what is scored already, also behind other work', async () => {
    await add([score(9)]);
    const [known] = await add([score(5)]);
    expect(known).toMatchObject({ state: 'done', made: [expect.any(String)] });
    core.scoring.cancel(state().waiting.map(({ id }) => id));
  });

  it('goes on at the next start with what a closed studio was at', async () => {
    const [entry] = await add([score(60, { maxTokens: 40 })]);
    core.scoring.begin();
    await expect.poll(() => state().running[0]?.id).toBe(entry!.id);
    reopen();
    expect(state()).toMatchObject({ running: [], waiting: [{ id: entry!.id }] });
    core.scoring.begin();
    // Ended by a person, it is forgotten, and the next has its turn.
    await expect.poll(() => state().running[0]?.id).toBe(entry!.id);
    core.scoring.cancel([entry!.id]);
    await core.scoring.idle();
    expect(state().ended.map(({ id }) => id)).not.toContain(entry!.id);
  });

  it('scores in the project in which it was asked for, whichever is open', async () => {
    await core.handlers['projects.create']({ title: 'Elsewhere' }, { signal: neverAborted });
    reopen();
    const [entry] = await add([score(6)]);
    core.projects.open('Elsewhere');
    core.scoring.begin();
    await core.scoring.idle();
    expect(core.evaluations.list()).toEqual([]);
    core.projects.open('default');
    const made = state().ended.find(({ id }) => id === entry!.id)!.made;
    expect(core.evaluations.list().map(({ id }) => id)).toContain(made[0]);
  });

  it('scores runs when they are trained and no other trains, and tells of those that never will be', async () => {
    core.runs.queue.hold(true);
    const start = async (name: string, steps: number) =>
      (
        await core.runs.start({
          name,
          model: 'tiny',
          dataset: 'sums',
          config: { ...config, maxSteps: steps },
        })
      ).run;
    core.runs.queue.begin();
    const [first, second] = [await start('first', 2), await start('second', 2)];
    const asked = (run: string) => score(2, { adapter: run });
    const entries = await add([asked('first'), asked('second')]);
    expect(entries.map(({ after }) => after)).toEqual([[first.id], [second.id]]);
    // What waits for a training lets others pass.
    const [other] = await add([score(7)]);
    await expect.poll(() => state().ended[0]?.id).toBe(other!.id);
    await core.runs.stop('second', { save: true });
    await expect.poll(() => state().ended[0]?.id).toBe(entries[1]!.id);
    expect(state().ended[0]).toMatchObject({ state: 'failed', error: { code: 'no_checkpoint' } });
    // It has kept nothing that could be scored as it is.
    await expect(core.scoring.retry(entries[1]!.id)).rejects.toMatchObject({ code: 'no_checkpoint' });
    expect(limits(state().waiting)).toEqual([2]);
    // What does not go on by itself is told, with what to do.
    expect(state().waiting[0]!.stalled).toBeNull();
    const told: (string | null)[] = [];
    const unsubscribe = core.events.subscribe(null, ({ event }) => {
      if (event.type === 'scoring') told.push(event.queue.waiting[0]?.stalled ?? null);
    });
    await core.runs.pause('first');
    await expect.poll(() => told.at(-1)).toMatch(/"first" is paused: resume it, or take this out/);
    await core.runs.resume('first');
    core.runs.queue.hold(false);
    await expect.poll(() => told.at(-1)).toBeNull();
    unsubscribe();
    await expect.poll(() => state().ended[0]?.id, { timeout: patienceMs }).toBe(entries[0]!.id);
    expect(core.runs.get('first').state).toBe('done');
    const [made] = state().ended[0]!.made;
    expect(core.evaluations.list().find(({ id }) => id === made)).toMatchObject({ runId: first.id, n: 2 });
  });

  it('makes the scores that a comparison and guards need: both answer at once then', async () => {
    const guards = [{ benchmark: 'exact_match', data: { dataset: 'sums' }, limit: 2, maxTokens: 2 }];
    const [guard] = await add([{ kind: 'guards', input: { run: 'first', guards } }]);
    expect(guard!.title).toBe('Guards of first: exact_match');
    await core.scoring.idle();
    const { made, state: how, error } = state().ended[0]!;
    expect([how, error]).toEqual(['done', null]);
    const report = await core.handlers['guards.check'](
      procedures['guards.check'].input.parse({ run: 'first', guards }),
      { signal: neverAborted },
    );
    expect([report.guards[0]!.before.id, report.guards[0]!.after.id]).toEqual(made);
  });
});
