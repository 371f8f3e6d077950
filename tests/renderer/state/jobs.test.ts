import { expect, it } from 'vitest';
import { jobsOf } from '../../../src-renderer/state/jobs.ts';
import type { Pace } from '../../../src-renderer/state/pace.ts';
import type { Progress } from '../../../src-renderer/state/studio.svelte.ts';
import { sampleRun } from '../../support/sampleRun.ts';

const now = 100_000;
const nothing = { running: [], isHere: () => true, paces: new Map<string, Pace>(), now };
const progress = (entries: Record<string, Progress>) => new Map(Object.entries(entries));

it('tells of a preparation with its part, of training with its steps', () => {
  const running = sampleRun({ id: 'r', name: 'first', state: 'running', step: 0, totalSteps: 200 });
  const tasks = progress({ 'run r': { label: 'Loading weights', done: 5, total: 20, secondsLeft: 9 } });
  expect(jobsOf({ ...nothing, running: [running], progress: tasks })).toEqual([
    {
      key: 'run r',
      kind: 'prepare',
      name: 'first',
      part: 'Loading weights',
      share: 0.25,
      leftMs: 9000,
      href: '/train/runs/r',
    },
  ]);
  const pace = {
    seen: [
      { at: 0, step: 40 },
      { at: 10_000, step: 50 },
    ],
  };
  const [job] = jobsOf({
    ...nothing,
    running: [{ ...running, step: 50 }],
    paces: new Map([['r', pace]]),
    progress: tasks,
  });
  expect(job).toMatchObject({ kind: 'job', part: '', share: 0.25, leftMs: 150_000 });
  const [elsewhere] = jobsOf({ ...nothing, isHere: () => false, running: [running], progress: progress({}) });
  expect(elsewhere!.href).toBe('/train/queue');
});

it('tells of scoring, exports, downloads and imports on every page, with a time by their pace', () => {
  const began = { at: now - 10_000, done: 10 };
  const jobs = jobsOf({
    ...nothing,
    progress: progress({
      'evaluation lora-a gsm8k': { label: 'Scoring', done: 30, total: 50, began },
      'export lora-a': { label: 'Checking', done: 0, total: null },
      'download d': { label: 'Downloading org/model', done: 1, total: 4, unit: 'bytes', secondsLeft: 60 },
      'study pair': { label: 'Planning the runs', done: 0, total: null },
      'dataset x': { label: 'Reading rows', done: 40, total: null },
      'run other': { label: 'of a run that waits', done: 0, total: 1 },
    }),
  });
  const shown = jobs.map(({ kind, name, part, href, share, leftMs }) => [
    kind,
    name,
    part,
    href,
    share,
    leftMs,
  ]);
  expect(shown).toEqual([
    ['score', 'lora-a gsm8k', 'Scoring', '/evaluate', 0.6, 10_000],
    ['export', 'lora-a', 'Checking', '/export', null, null],
    ['download', '', 'Downloading org/model', '/models', 0.25, 60_000],
    ['study', 'pair', 'Planning the runs', '/plan/studies', null, null],
    ['data', '', 'Reading rows', '/data', null, null],
  ]);
});
