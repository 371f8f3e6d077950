import { expect, it } from 'vitest';
import type { Download } from '../../src-main/contract/modelLibrary.ts';
import { watchJobs, type JobNotice } from '../../src-main/shell/longJobs.ts';

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
  call(1, 'evaluations.start');
  call(2, 'evaluations.compare');
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
    { title: 'The comparison is done', body: 'See what it brought.', href: '/evaluate/compare' },
    { title: 'The export has failed', body: 'It was out_of_memory.', href: '/export' },
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
