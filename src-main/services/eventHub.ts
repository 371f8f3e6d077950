import { randomBytes } from 'node:crypto';
import type { ProgressEvent, SequencedEvent, StudioEvent } from '../contract/events.ts';

export interface EventHub {
  epoch: string;
  /** Number of the last event. */
  lastSequence(): number;
  emit(event: StudioEvent): void;
  /** Where each task stands that has not ended, for those who come while it goes on; the oldest first. */
  unfinished(): ProgressEvent[];
  /**
   * Calls `listener` with all events after a place in the stream, then with new ones.
   * @param after place the listener has seen, or null for only new ones. Where it lies in another epoch or is no longer
   * kept, only new events come; the gap in the numbers tells the listener to reload.
   * @returns unsubscribe
   */
  subscribe(
    after: { epoch: string; sequence: number } | null,
    listener: (event: SequencedEvent) => void,
  ): () => void;
}

/** Events kept for listeners that come back after a reload or a lost connection. */
const kept = 5000;

export function createEventHub(): EventHub {
  const epoch = randomBytes(6).toString('hex');
  const listeners = new Set<(event: SequencedEvent) => void>();
  const recent: SequencedEvent[] = [];
  const tasks = new Map<string, ProgressEvent>();
  let sequence = 0;
  return {
    epoch,
    lastSequence: () => sequence,
    emit(event) {
      const sequenced = { epoch, sequence: ++sequence, event };
      recent.push(sequenced);
      if (recent.length > kept) recent.shift();
      if (event.type === 'progress') tasks.set(event.task, event);
      else if (event.type === 'progress.ended') tasks.delete(event.task);
      for (const listener of listeners)
        try {
          listener(sequenced);
        } catch (error) {
          // A client that cannot be told must not stop what the event is about.
          console.error(error);
        }
    },
    unfinished: () => [...tasks.values()],
    subscribe(after, listener) {
      if (after?.epoch === epoch)
        for (const event of recent) if (event.sequence > after.sequence) listener(event);
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
