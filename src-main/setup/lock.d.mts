/** Runs `work` while no other process holds the lock file; a lock whose process is gone is taken over. */
export function withLock<T>(path: string, work: () => Promise<T>): Promise<T>;
