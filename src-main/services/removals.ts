/** Kept for longer than the page offers to take a deletion back. */
const keptMs = 60_000;

/** What was removed a moment ago and can still come back. */
export interface Removals<T> {
  /** Keeps what was removed; `purge` deletes its files when it can no longer come back. */
  keep(id: string, entry: T, purge: () => void): void;
  /** Gives it back, and forgets it here; null where its time is over. */
  take(id: string): T | null;
  /** What is kept now: its files are still needed. */
  kept(): T[];
  /** Ends all of them: the studio closes. */
  close(): void;
}

export function createRemovals<T>(forMs = keptMs): Removals<T> {
  const entries = new Map<string, { entry: T; purge: () => void; timer: NodeJS.Timeout }>();

  function end(id: string): void {
    const found = entries.get(id);
    if (!found) return;
    clearTimeout(found.timer);
    entries.delete(id);
    found.purge();
  }
  return {
    keep(id, entry, purge) {
      // A process that has nothing else to do must not wait for it: closing ends it.
      entries.set(id, { entry, purge, timer: setTimeout(() => end(id), forMs).unref() });
    },
    take(id) {
      const found = entries.get(id);
      if (!found) return null;
      clearTimeout(found.timer);
      entries.delete(id);
      return found.entry;
    },
    kept: () => [...entries.values()].map(({ entry }) => entry),
    close() {
      for (const id of [...entries.keys()]) end(id);
    },
  };
}
