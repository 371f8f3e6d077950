import type { ScoringEntry, ScoringQueue } from '../contract/evaluation/scoring.ts';
import type { Download } from '../contract/modelLibrary.ts';
import type { ProcedureName } from '../contract/procedures.ts';
import type { ClientMessage, CoreMessage } from '../contract/transport.ts';

/** What is said of a job that has ended, and the page that shows it. */
export interface JobNotice {
  title: string;
  body: string;
  href: string;
}

/** Who waits less has not gone away. */
const longMs = 20_000;

/** Calls that may take long, with what they bring and where it is seen. */
const jobs: Partial<Record<ProcedureName, { subject: string; href: string }>> = {
  'models.add': { subject: 'The model', href: '/models' },
  'datasets.add': { subject: 'The dataset', href: '/data' },
  'exports.create': { subject: 'The export', href: '/export' },
  'plan.probe': { subject: 'The measurement of a few steps', href: '/train' },
  'studio.repair': { subject: 'The repair', href: '/settings' },
};

export interface JobWatch {
  /** Every message from the page to the core. */
  called(message: ClientMessage): void;
  /** Every message from the core to the page. */
  answered(message: CoreMessage): void;
  /** What is scored and waits for it, whenever that has changed. */
  seeScoring(queue: ScoringQueue): void;
  /** The downloads whenever one has changed. */
  seeDownloads(downloads: readonly Download[]): void;
}

/**
 * Follows what a page waits for, what is scored, and downloads, and tells of the end of what took long; runs are
 * watched by runWatch.ts.
 * @param now milliseconds; tests give their own
 */
export function watchJobs(onEnded: (notice: JobNotice) => void, now: () => number = Date.now): JobWatch {
  const calls = new Map<number, { subject: string; href: string; begin: number }>();
  const downloads = new Map<string, { repository: string; begin: number }>();

  /** What has its turn. */
  let scored: readonly ScoringEntry[] = [];

  function end(job: { subject: string; href: string; begin: number }, failure: string | null): void {
    if (now() - job.begin < longMs) return;
    const title = failure === null ? `${job.subject} is done` : `${job.subject} has failed`;
    onEnded({ title, body: failure ?? 'See what it brought.', href: job.href });
  }

  return {
    called(message) {
      if (message.kind !== 'call' || !Object.hasOwn(jobs, message.name)) return;
      calls.set(message.id, { ...jobs[message.name as ProcedureName]!, begin: now() });
    },
    answered(message) {
      if (message.kind !== 'reply') return;
      const job = calls.get(message.id);
      calls.delete(message.id);
      const { reply } = message;
      if (!job || (!reply.ok && reply.error.code === 'cancelled')) return;
      end(job, reply.ok ? null : reply.error.message);
    },
    seeScoring({ running, ended }) {
      const left = scored.filter((before) => running.every(({ id }) => id !== before.id));
      scored = running;
      for (const before of left) {
        // One that a person took out has not ended.
        const entry = ended.find(({ id }) => id === before.id);
        // Of many that go on one by one, the last is told, and each that failed.
        if (!entry || (entry.state === 'done' && running.length > 0)) continue;
        if (Date.parse(entry.endedAt!) - Date.parse(entry.startedAt!) < longMs) continue;
        onEnded({
          title: entry.state === 'done' ? 'What was to be scored is scored' : 'Something was not scored',
          body: entry.error === null ? entry.title : `${entry.title}: ${entry.error.message}`,
          href: '/evaluate/queue',
        });
      }
    },
    seeDownloads(list) {
      for (const [id, { repository, begin }] of downloads) {
        const download = list.find((entry) => entry.id === id);
        const isUnderWay = download?.state === 'running' || download?.state === 'checking';
        if (isUnderWay) continue;
        downloads.delete(id);
        // One that a person stopped stays in the list; one that is complete leaves it.
        if (download?.state === 'stopped') continue;
        end(
          { subject: `The download of ${repository}`, href: '/models', begin },
          download?.error?.message ?? null,
        );
      }
      for (const { id, repository, state } of list)
        if ((state === 'running' || state === 'checking') && !downloads.has(id))
          downloads.set(id, { repository, begin: now() });
    },
  };
}
