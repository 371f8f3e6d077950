import type { Queue, Run } from '../contract/entities.ts';
import type { CoreMessage } from '../contract/transport.ts';

/** What the shell wants to know of runs. */
export interface RunWatchListener {
  /** Whether any run trains or will without being asked: the machine must not fall asleep. */
  onBusy(busy: boolean): void;
  /** A run that was seen running has ended by itself. */
  onEnded(run: Run): void;
}

export interface RunWatch {
  /** Every message from the core to the page. */
  see(message: CoreMessage): void;
  /** The queue as the core tells it, when it has started. */
  seeAll(queue: Queue): void;
  /** The core has gone, and the runs with it. */
  forget(): void;
  isBusy(): boolean;
  /** How many runs train, and how many wait for their turn. */
  counts(): { running: number; waiting: number };
}

/** Follows which runs train and wait, from the events that pass through the shell on their way to the page. */
export function watchRuns(listener: RunWatchListener): RunWatch {
  const running = new Set<string>();
  let queue: Pick<Queue, 'isHeld' | 'waiting'> = { isHeld: false, waiting: [] };

  // Runs in a held queue wait for a person.
  const isBusy = () => running.size > 0 || (!queue.isHeld && queue.waiting.length > 0);

  function change(work: () => void): void {
    const wasBusy = isBusy();
    work();
    if (wasBusy !== isBusy()) listener.onBusy(isBusy());
  }

  function seeRun(run: Run): void {
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
    },
    seeAll: (told) =>
      change(() => {
        queue = told;
        if (told.running) seeRun(told.running);
      }),
    forget: () =>
      change(() => {
        running.clear();
        queue = { isHeld: false, waiting: [] };
      }),
    isBusy,
    counts: () => ({ running: running.size, waiting: queue.waiting.length }),
  };
}
