import type { SequencedEvent, StudioEvent } from '../../src-main/contract/events.ts';

/** A place in the core's ordered stream of events. */
export interface StreamPlace {
  epoch: string;
  sequence: number;
}

export interface EventStream {
  /**
   * The last event seen, for the next `subscribe`; null before the first answer: events that come earlier are dropped.
   */
  place(): StreamPlace | null;
  /** The core's answer to `subscribe`: its epoch and last number. */
  subscribed(at: StreamPlace): void;
  event(event: SequencedEvent): void;
}

/**
 * Follows the stream over reconnects: passes each event on once and in order, and says when some were missed (a new
 * epoch because the core restarted, or a hole in the numbers because they are no longer kept). After `onGap` everything
 * that was built from events must be loaded again.
 */
export function createEventStream(listener: {
  onEvent(event: StudioEvent): void;
  onGap(): void;
}): EventStream {
  let place: StreamPlace | null = null;
  return {
    place: () => place,
    subscribed({ epoch, sequence }) {
      if (place?.epoch === epoch) return; // what was missed follows as events
      const missed = place !== null;
      place = { epoch, sequence };
      if (missed) listener.onGap();
    },
    event({ epoch, sequence, event }) {
      // The shell still passes on what the page asked for before it was reloaded: only what follows the answer to this
      // page's own `subscribe` is its stream, and without that answer it would never load.
      if (place === null) return;
      if (place.epoch === epoch && sequence <= place.sequence) return;
      const missed = place.epoch !== epoch || sequence !== place.sequence + 1;
      place = { epoch, sequence };
      if (missed) listener.onGap();
      listener.onEvent(event);
    },
  };
}
