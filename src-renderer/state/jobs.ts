import type { Run } from '../../src-main/contract/entities.ts';
import { remainingMs, type Pace } from './pace.ts';
import type { Progress } from './studio.svelte.ts';

/** Work under way, as it is shown on every page. */
export interface Job {
  key: string;
  /** What is done, in a word. */
  kind: string;
  /** With what; empty: its part says it. */
  name: string;
  /** Which part of the work this is; empty: it has one part. */
  part: string;
  /** 0 to 1 of the part; null: not known. */
  share: number | null;
  leftMs: number | null;
  href: string;
}

/** Where work of a task is shown, by the first word of the task. */
const kinds: Readonly<Record<string, { kind: string; href: string }>> = {
  evaluation: { kind: 'score', href: '/evaluate' },
  chat: { kind: 'chat', href: '/chat' },
  judgment: { kind: 'judge', href: '/evaluate/blind' },
  export: { kind: 'export', href: '/export' },
  study: { kind: 'study', href: '/plan/studies' },
  download: { kind: 'download', href: '/models' },
  model: { kind: 'model', href: '/models' },
  dataset: { kind: 'data', href: '/data' },
  mix: { kind: 'data', href: '/data/mix' },
  statistics: { kind: 'data', href: '/data' },
  lengths: { kind: 'data', href: '/data' },
  probe: { kind: 'measure', href: '/train' },
  repair: { kind: 'repair', href: '/settings' },
};

/** Tasks that say what they work on; others have an id. */
const named: readonly string[] = ['evaluation', 'chat', 'judgment', 'export', 'study'];

/** Of a part that has gone on so long its pace says when it will end. */
const shortestPaceMs = 1500;

/** Milliseconds that a part still takes: by its core, or else by its pace since it was first heard of. */
export function partLeftMs({ done, total, secondsLeft, began }: Progress, now: number): number | null {
  if (secondsLeft !== undefined && secondsLeft !== null) return 1000 * secondsLeft;
  if (!began || total === null || done <= began.done || now - began.at < shortestPaceMs) return null;
  return ((total - done) * (now - began.at)) / (done - began.done);
}

export function shareOf({ done, total }: Progress): number | null {
  return total === null || total === 0 ? null : Math.min(1, done / total);
}

/** Everything that goes on: the runs that are prepared or train first, then the rest as it was begun. */
export function jobsOf(known: {
  running: readonly Run[];
  /** Whether a run has a page here. */
  isHere(run: Run): boolean;
  paces: ReadonlyMap<string, Pace>;
  progress: ReadonlyMap<string, Progress>;
  now: number;
}): Job[] {
  const { progress, now } = known;
  const jobs: Job[] = [];
  for (const running of known.running) {
    const preparing = progress.get(`run ${running.id}`);
    const pace = known.paces.get(running.id);
    const { step, totalSteps } = running;
    const trains = pace !== undefined || !preparing;
    jobs.push({
      key: `run ${running.id}`,
      kind: trains ? 'job' : 'prepare',
      name: running.name,
      part: trains ? '' : preparing.label,
      share: trains ? (totalSteps === null ? null : step / totalSteps) : shareOf(preparing),
      leftMs: trains ? (pace ? remainingMs(pace, totalSteps) : null) : partLeftMs(preparing, now),
      href: known.isHere(running) ? `/train/runs/${running.id}` : '/train/queue',
    });
  }
  for (const [task, part] of progress) {
    const [word = '', ...rest] = task.split(' ');
    const where = kinds[word];
    if (!where) continue;
    jobs.push({
      key: task,
      kind: where.kind,
      name: named.includes(word) ? rest.join(' ') : '',
      part: part.label,
      share: shareOf(part),
      leftMs: partLeftMs(part, now),
      href: where.href,
    });
  }
  return jobs;
}
