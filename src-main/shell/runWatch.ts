import type { Queue, Run } from '../contract/entities.ts';
import type { ScoringQueue } from '../contract/evaluation/scoring.ts';
import type { CoreMessage } from '../contract/transport.ts';

/** What the shell wants to know of runs, and of what is scored. */
export interface RunWatchListener {
  /** Whether anything is trained or scored or will be without being asked: the machine must not fall asleep. */
  onBusy(busy: boolean): void;
  /** A run that was seen running has ended by itself. */
  onEnded(run: Run): void;
}

export interface RunWatch {
  /** Every message from the core to the page. */
  see(message: CoreMessage): void;
  /** Both queues as the core tells them, when it has started. */
  seeAll(queue: Queue, scoring: ScoringQueue): void;
  /** The core has gone, and the runs with it. */
  forget(): void;
  /** Whether a run would be cut short; what is scored goes on at the next start behind what is graded. */
  isBusy(): boolean;
  /** How many runs train, and how many wait for their turn. */
  counts(): { running: number; waiting: number };
}

/** Follows which runs train and wait, from the events that pass through the shell on their way to the page. */
export function watchRuns(listener: RunWatchListener): RunWatch {
  const running = new Set<string>();
  /** Runs that were seen to reach their end: what waits for them is scored next. */
  const done = new Set<string>();
  const nothing = { queue: { isHeld: false, waiting: [] }, scoring: { running: [], waiting: [] } };
  let queue: Pick<Queue, 'isHeld' | 'waiting'> = nothing.queue;
  let scoring: Pick<ScoringQueue, 'running' | 'waiting'> = nothing.scoring;

  // Runs in a held queue wait for a person.
  const isBusy = () => running.size > 0 || (!queue.isHeld && queue.waiting.length > 0);
  const isScoring = () =>
    scoring.running.length > 0 || scoring.waiting.some(({ after }) => after.every((id) => done.has(id)));

  function change(work: () => void): void {
    const wasBusy = isBusy() || isScoring();
    work();
    const isNow = isBusy() || isScoring();
    if (wasBusy !== isNow) listener.onBusy(isNow);
  }

  function seeRun(run: Run): void {
    if (run.state === 'done') done.add(run.id);
    else done.delete(run.id);
    // An event may come twice after a reload of the page: a run ends once, when it leaves the set.
    if (run.state === 'running') running.add(run.id);
    else if (running.delete(run.id) && (run.state === 'done' || run.state === 'failed'))
      listener.onEnded(run);
  }

  return {
    see(message) {
      if (message.kind !== 'event') return;
      const { event } = message.event;
      if (event.type === 'run') change(() => seeRun(event.run));
      if (event.type === 'queue') change(() => (queue = event.queue));
      if (event.type === 'scoring') change(() => (scoring = event.queue));
    },
    seeAll: (told, scored) =>
      change(() => {
        [queue, scoring] = [told, scored];
        for (const run of told.running) seeRun(run);
      }),
    forget: () =>
      change(() => {
        running.clear();
        ({ queue, scoring } = nothing);
      }),
    isBusy,
    counts: () => ({ running: running.size, waiting: queue.waiting.length }),
  };
}
