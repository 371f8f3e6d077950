import { expect, it } from 'vitest';
import type { Queue, Run } from '../../src-main/contract/entities.ts';
import type { ScoringEntry } from '../../src-main/contract/evaluation/scoring.ts';
import type { StudioEvent } from '../../src-main/contract/events.ts';
import { quitQuestion } from '../../src-main/shell/quitQuestion.ts';
import { watchRuns } from '../../src-main/shell/runWatch.ts';
import { sampleEntry } from '../support/evaluation/sampleEntry.ts';
import { sampleRun } from '../support/sampleRun.ts';

function queueOf(isHeld: boolean, ...names: string[]): Queue {
  const waiting = names.map((name) => sampleRun({ name, state: 'queued' }));
  return { isHeld, cards: 0, atOnce: 'all', running: [], waiting };
}

function watched() {
  const busy: boolean[] = [];
  const ended: Run[] = [];
  const watch = watchRuns({ onBusy: (value) => busy.push(value), onEnded: (run) => ended.push(run) });
  let sequence = 0;
  const see = (event: StudioEvent) =>
    watch.see({ kind: 'event', event: { epoch: 'e', sequence: ++sequence, event } });
  return {
    watch,
    busy,
    ended,
    run: (name: string, state: Run['state']) => see({ type: 'run', run: sampleRun({ name, state }) }),
    scoring: (running: ScoringEntry | null, ...waiting: ScoringEntry[]) =>
      see({
        type: 'scoring',
        queue: { running: running ? [running] : [], waiting, ended: [], unreadable: [] },
      }),
    queue: (isHeld: boolean, ...names: string[]) => see({ type: 'queue', queue: queueOf(isHeld, ...names) }),
  };
}

it('is busy without a pause from the first run of a queue to the last', () => {
  const { watch, busy, ended, run, queue } = watched();
  queue(false, 'a', 'b');
  run('a', 'running');
  queue(false, 'b');
  expect(watch.counts()).toEqual({ running: 1, waiting: 1 });
  run('a', 'failed');
  expect(watch.counts()).toEqual({ running: 0, waiting: 1 });
  run('b', 'running');
  queue(false);
  run('b', 'done');
  expect(busy).toEqual([true, false]);
  expect(ended.map(({ name, state }) => [name, state])).toEqual([
    ['a', 'failed'],
    ['b', 'done'],
  ]);
});

it('lets the machine sleep over a held queue, and knows a queue that a restart found', () => {
  const { watch, busy, queue } = watched();
  watch.seeAll(queueOf(true, 'a'), { running: [], waiting: [], ended: [], unreadable: [] });
  expect(watch.isBusy()).toBe(false);
  queue(false, 'a');
  expect(busy).toEqual([true]);
  watch.forget();
  expect(busy).toEqual([true, false]);
});

it('stays at work for the scores of a run that was trained, and not for those of one that was stopped', () => {
  const { watch, busy, run, scoring } = watched();
  const [first, second] = [sampleRun({ name: 'a' }).id, 'another'];
  run('a', 'running');
  const mine = sampleEntry('mine', { after: [first] });
  const other = sampleEntry('other', { after: [second] });
  scoring(null, mine, other);
  run('a', 'done');
  // Nothing is lost where it ends now: nobody is asked.
  expect([watch.isBusy(), busy]).toEqual([false, [true]]);
  scoring(mine, other);
  scoring(null, other);
  expect(busy).toEqual([true, false]);
});

it('does not tell of the end of a run that a person ended', () => {
  const { ended, run } = watched();
  run('a', 'running');
  run('a', 'paused');
  run('b', 'running');
  run('b', 'stopped');
  expect(ended).toEqual([]);
});

it('asks before it ends in words that are true of what trains and what waits', () => {
  expect(quitQuestion({ running: 1, waiting: 0 }).message).toBe('A run is training.');
  expect(quitQuestion({ running: 1, waiting: 1 }).message).toBe(
    'A run is training, and one waits in the queue.',
  );
  expect(quitQuestion({ running: 1, waiting: 3 }).message).toBe(
    'A run is training, and 3 wait in the queue.',
  );
  expect(quitQuestion({ running: 0, waiting: 2 })).toMatchObject({
    message: '2 runs wait for their turn.',
    buttons: ['Train on in the background', 'Quit and go on later', 'Cancel'],
  });
  expect(quitQuestion({ running: 1, waiting: 2 }).detail).toContain('goes on with the next one');
  expect(quitQuestion({ running: 2, waiting: 0 })).toMatchObject({
    message: '2 runs are training.',
    detail: expect.stringMatching(/^They can train on .* when they are through/) as string,
    buttons: ['Train on in the background', 'Keep checkpoints and quit', 'Cancel'],
  });
  expect(quitQuestion({ running: 2, waiting: 1 })).toMatchObject({
    message: '2 runs are training, and one waits in the queue.',
    detail: expect.stringContaining('Or each run keeps a checkpoint now') as string,
  });
});
