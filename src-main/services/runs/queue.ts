import type { Queue, Run, TrainAtOnce } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import {
  dequeueRun,
  enqueueRun,
  holdQueue,
  isQueueHeld,
  orderQueue,
  readScoring,
  waitingRuns,
} from '../../store/queue.ts';
import type { ServiceContext } from '../context.ts';
import { keepTrainAtOnce, readTrainAtOnce } from './trainAtOnce.ts';

/**
 * The runs of all projects that wait for their turn. One trains at a time on the processor, and one on each card where
 * there are several, unless the user wants one. Kept in the database, so a restart goes on with it.
 */
export interface RunQueue {
  state(): Queue;
  /**
   * @param with.record writes what is stored with them, or not at all where one of both fails
   * @param with.tell is called once both are stored, and before the first of them can have its turn
   */
  add(
    runIds: readonly string[],
    place: 'first' | 'last',
    { record, tell }: { record: () => void; tell: () => void },
  ): void;
  /** @returns false where it does not wait (any more) */
  takeOut(runId: string): boolean;
  /** Puts a waiting run in front of another, or at the end (null). @throws StudioError busy where it does not wait */
  move(runId: string, before: string | null): void;
  /** A held queue lets runs that train go on, and starts no other. */
  hold(isHeld: boolean): void;
  /** Keeps on how many cards it trains; runs that train already go on. */
  trainAtOnce(atOnce: TrainAtOnce): void;
  /** Cards that no run of the queue has, where there are several; null: there are not. */
  freeCards(): number | null;
  /** Looks again whether a run can have its turn: cards were found, or scoring has left one. */
  look(): void;
  /**
   * From now on takes what waits, also runs that an earlier process left. Before, only runs that this process has added
   * get their turn, held or not: a command line that trains one run must not begin somebody's queue.
   */
  begin(): void;
  /** Takes no further run. */
  close(): void;
}

/** @param take gives a run its turn, to its end; rejects only where nothing can be recorded any more */
export function createRunQueue(
  context: ServiceContext,
  take: (runId: string) => Promise<void>,
  get: (runId: string) => Run,
): RunQueue {
  const { database } = context;
  const own = new Set<string>();
  let hasBegun = false;
  let isClosed = false;
  /** The runs that have their turn, in that order. */
  let taken: readonly string[] = [];
  /** Of how many cards listeners were told. */
  let toldCards = 0;

  const cards = () => context.cards.usable().length;
  const state = (): Queue => ({
    isHeld: isQueueHeld(database),
    cards: cards(),
    atOnce: readTrainAtOnce(context.paths.trainAtOnce),
    running: taken.map(get),
    waiting: waitingRuns(database).map(get),
  });
  const tell = () => {
    const queue = state();
    toldCards = queue.cards;
    context.emit({ type: 'queue', queue });
  };

  /** A card on which the queue scores is left to that; where all are, one run shares a card with it all the same. */
  function places(): number {
    const all = cards();
    if (all <= 1 || readTrainAtOnce(context.paths.trainAtOnce) === 'one') return 1;
    return Math.max(1, all - readScoring(database).running.length);
  }

  function next(): string | undefined {
    const waiting = waitingRuns(database);
    if (!hasBegun) return waiting.find((id) => own.has(id));
    return isQueueHeld(database) ? undefined : waiting[0];
  }

  /** @returns whether a run had its turn: then listeners were told */
  function advance(): boolean {
    let hasBegunOne = false;
    while (!isClosed && taken.length < places()) {
      const runId = next();
      if (runId === undefined) break;
      try {
        dequeueRun(context.writable(), runId);
      } catch (error) {
        // A full disk, say: it stays the next, and the queue is looked at again when something is asked of it.
        console.error(error);
        break;
      }
      hasBegunOne = true;
      begin(runId);
    }
    return hasBegunOne;
  }

  function begin(runId: string): void {
    taken = [...taken, runId];
    own.delete(runId);
    const turn = take(runId);
    tell();
    const leave = () => {
      taken = taken.filter((id) => id !== runId);
    };
    turn.then(
      () => {
        leave();
        if (!advance() && !isClosed) tell();
      },
      (error: unknown) => {
        // A full disk, say: the next run would fare no better, and the one after it neither.
        leave();
        if (isClosed) return;
        console.error(error);
        tell();
      },
    );
  }

  return {
    state,
    add(runIds, place, { record, tell: tellRuns }) {
      const database = context.writable();
      database.writable.transaction(() => {
        record();
        for (const runId of place === 'first' ? runIds.toReversed() : runIds)
          enqueueRun(database, runId, place);
      })();
      for (const runId of runIds) own.add(runId);
      tellRuns();
      tell();
      advance();
    },
    takeOut(runId) {
      own.delete(runId);
      const waited = dequeueRun(context.writable(), runId);
      if (waited) tell();
      return waited;
    },
    move(runId, before) {
      const waiting = waitingRuns(database);
      if (!waiting.includes(runId))
        throw new StudioError(
          'busy',
          'The run does not wait in the queue.',
          'It may have started, or been taken out, meanwhile.',
        );
      if (before === runId) return;
      const others = waiting.filter((id) => id !== runId);
      // One that has left the queue meanwhile was at its front.
      const place = before === null ? others.length : Math.max(0, others.indexOf(before));
      orderQueue(context.writable(), others.toSpliced(place, 0, runId));
      tell();
    },
    hold(isHeld) {
      holdQueue(context.writable(), isHeld);
      tell();
      advance();
    },
    trainAtOnce(atOnce) {
      keepTrainAtOnce(context.paths.trainAtOnce, atOnce);
      tell();
      advance();
    },
    freeCards() {
      const all = cards();
      return all > 1 ? all - taken.length : null;
    },
    look() {
      if (!advance() && !isClosed && cards() !== toldCards) tell();
    },
    begin() {
      hasBegun = true;
      advance();
    },
    close() {
      isClosed = true;
    },
  };
}
