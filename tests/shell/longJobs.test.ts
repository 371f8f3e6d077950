import { expect, it } from 'vitest';
import type { ScoringEntry } from '../../src-main/contract/evaluation/scoring.ts';
import type { Download } from '../../src-main/contract/modelLibrary.ts';
import { watchJobs, type JobNotice } from '../../src-main/shell/longJobs.ts';
import { sampleEntry } from '../support/evaluation/sampleEntry.ts';

function watched() {
  const notices: JobNotice[] = [];
  let clock = 0;
  const watch = watchJobs(
    (notice) => notices.push(notice),
    () => clock,
  );
  return {
    watch,
    notices,
    wait: (seconds: number) => (clock += 1000 * seconds),
    call: (id: number, name: string) => watch.called({ kind: 'call', id, name, input: {} }),
    answer: (id: number) => watch.answered({ kind: 'reply', id, reply: { ok: true, value: null } }),
    fail: (id: number, code: 'cancelled' | 'out_of_memory') =>
      watch.answered({
        kind: 'reply',
        id,
        reply: { ok: false, error: { code, message: `It was ${code}.`, remedy: 'Do something.' } },
      }),
  };
}

it('tells of what took long, and of nothing that a person saw end or ended', () => {
  const { notices, wait, call, answer, fail } = watched();
  call(1, 'datasets.add');
  call(2, 'plan.probe');
  call(3, 'runs.list');
  call(4, 'exports.create');
  wait(19);
  answer(1);
  wait(1);
  answer(2);
  answer(3);
  fail(4, 'out_of_memory');
  call(5, 'models.add');
  wait(100);
  fail(5, 'cancelled');
  // A reply comes once, and a page's numbers may begin anew.
  answer(2);
  call(2, 'runs.get');
  answer(2);
  expect(notices).toEqual([
    { title: 'The measurement of a few steps is done', body: 'See what it brought.', href: '/train' },
    { title: 'The export has failed', body: 'It was out_of_memory.', href: '/export' },
  ]);
});

it('tells of what was scored when the last has ended, of each that failed, and not of what was short', () => {
  const { watch, notices } = watched();
  const at = (second: number) => new Date(1000 * second).toISOString();
  const entry = (id: string, begin: number, end: number | null, error: ScoringEntry['error'] = null) => ({
    ...sampleEntry(id),
    state: end === null ? ('running' as const) : error ? ('failed' as const) : ('done' as const),
    startedAt: at(begin),
    endedAt: end === null ? null : at(end),
    error,
  });
  const see = (running: ScoringEntry | null, ended: ScoringEntry[]) =>
    watch.seeScoring({ running: running ? [running] : [], waiting: [], ended, unreadable: [] });
  see(entry('a', 0, null), []);
  // Another one goes on: nothing to look at yet.
  see(entry('b', 30, null), [entry('a', 0, 30)]);
  const broken = { code: 'out_of_memory' as const, message: 'It is full.', remedy: 'Take less.' };
  see(entry('c', 90, null), [entry('b', 30, 90, broken)]);
  see(null, [entry('c', 90, 150)]);
  see(entry('d', 150, null), []);
  see(null, [entry('d', 150, 160)]);
  // Taken out by a person.
  see(entry('e', 160, null), []);
  see(null, []);
  expect(notices).toEqual([
    { title: 'Something was not scored', body: 'b: It is full.', href: '/evaluate/queue' },
    { title: 'What was to be scored is scored', body: 'c', href: '/evaluate/queue' },
  ]);
});

it('tells of downloads that end by themselves', () => {
  const { watch, notices, wait } = watched();
  const download = (id: string, state: Download['state']): Download => ({
    id,
    repository: `team/${id}`,
    revision: 'main',
    commit: 'c',
    state,
    doneBytes: 1,
    totalBytes: 2,
    error:
      state === 'failed' ? { code: 'internal', message: 'The Hub does not answer.', remedy: 'Wait.' } : null,
    createdAt: '2026-01-01T00:00:00.000Z',
  });
  watch.seeDownloads([download('old', 'stopped'), download('a', 'running'), download('b', 'running')]);
  watch.seeDownloads([download('a', 'running'), download('b', 'running'), download('c', 'running')]);
  wait(30);
  watch.seeDownloads([download('a', 'checking'), download('b', 'failed'), download('c', 'stopped')]);
  watch.seeDownloads([download('b', 'failed'), download('c', 'stopped')]);
  watch.seeDownloads([download('quick', 'running')]);
  watch.seeDownloads([]);
  expect(notices).toEqual([
    { title: 'The download of team/b has failed', body: 'The Hub does not answer.', href: '/models' },
    { title: 'The download of team/a is done', body: 'See what it brought.', href: '/models' },
  ]);
});
