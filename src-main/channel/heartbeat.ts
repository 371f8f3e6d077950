import type { PlainError } from '../contract/errors.ts';

/** Milliseconds from one beat to the next. */
export const beatMs = 1000;

/**
 * Beats without an answer after which a core counts as silent. On a loaded machine it may not get a processor for a
 * second or two, and what it does in one go (reading a long list, comparing scores) takes less than that: five seconds
 * are more than a busy core needs, and less than anybody waits before wondering.
 */
export const silentAfterBeats = 5;

/** Notices that the other side of a channel still stands, but does not answer. */
export interface Heartbeat {
  /**
   * To be called every `beatMs`.
   * @param now milliseconds of any clock that goes on while this machine sleeps
   * @returns whether to ask the other side now, and for how many beats it has owed an answer
   */
  beat(now: number): { asks: boolean; owed: number };
  /** To be called when anything comes from the other side. */
  heard(): void;
}

export function createHeartbeat(): Heartbeat {
  let isAsked = false;
  let owed = 0;
  let last: number | null = null;
  return {
    beat(now) {
      // This side stood still (asleep, or busy itself): what has come meanwhile is only read after this.
      const stoodStill = last !== null && now - last > 2.5 * beatMs;
      last = now;
      const asks = !isAsked;
      if (isAsked && !stoodStill) owed++;
      isAsked = true;
      return { asks, owed };
    },
    heard() {
      isAsked = false;
      owed = 0;
    },
  };
}

/** @param whatNext what a person can do from where they are */
export function silenceError(whatNext: string): PlainError {
  return {
    code: 'core_silent',
    message: `The studio’s core has not answered for ${(silentAfterBeats * beatMs) / 1000} seconds.`,
    remedy: `It may have too much to do, or hang. Everything up to the last checkpoint of a run is saved. ${whatNext}`,
  };
}
