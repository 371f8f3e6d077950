import type { Run } from '../contract/entities.ts';
import type { CoreMessage } from '../contract/transport.ts';

/** What the shell wants to know of runs. */
export interface RunWatchListener {
  /** Whether any run trains: the machine must not fall asleep. */
  onBusy(busy: boolean): void;
  /** A run that was seen running has ended by itself. */
  onEnded(run: Run): void;
}

export interface RunWatch {
  /** Every message from the core to the page. */
  see(message: CoreMessage): void;
  /** The runs as the core lists them, when it has started. */
  seeAll(runs: readonly Run[]): void;
  /** The core has gone, and the runs with it. */
  forget(): void;
  isBusy(): boolean;
  /** Ids of the runs that train, of whatever project. */
  running(): string[];
}

/** Follows which runs train, from the events that pass through the shell on their way to the page. */
export function watchRuns(listener: RunWatchListener): RunWatch {
  const running = new Set<string>();

  function change(work: () => void): void {
    const wasBusy = running.size > 0;
    work();
    if (wasBusy !== running.size > 0) listener.onBusy(running.size > 0);
  }

  function seeRun(run: Run): void {
    // An event may come twice after a reload of the page: a run ends once, when it leaves the set.
    if (run.state === 'running') running.add(run.id);
    else if (running.delete(run.id) && (run.state === 'done' || run.state === 'failed'))
      listener.onEnded(run);
  }

  return {
    see(message) {
      if (message.kind !== 'event' || message.event.event.type !== 'run') return;
      const { run } = message.event.event;
      change(() => seeRun(run));
    },
    seeAll: (runs) => change(() => runs.forEach(seeRun)),
    forget: () => change(() => running.clear()),
    isBusy: () => running.size > 0,
    running: () => [...running],
  };
}
