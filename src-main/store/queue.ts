import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** Ids of the runs that wait for their turn, first to last. */
export function waitingRuns({ readable }: ReadableDatabase): string[] {
  return readable.prepare('SELECT run_id FROM run_queue ORDER BY position').pluck().all() as string[];
}

export function isWaiting({ readable }: ReadableDatabase, runId: string): boolean {
  return readable.prepare('SELECT 1 FROM run_queue WHERE run_id = ?').get(runId) !== undefined;
}

/** Puts a run at the front of the queue or at its end. */
export function enqueueRun({ writable }: WritableDatabase, runId: string, place: 'first' | 'last'): void {
  const next = place === 'first' ? 'coalesce(min(position), 0) - 1' : 'coalesce(max(position), 0) + 1';
  writable.prepare(`INSERT INTO run_queue (run_id, position) SELECT ?, ${next} FROM run_queue`).run(runId);
}

/** @returns whether it was waiting */
export function dequeueRun({ writable }: WritableDatabase, runId: string): boolean {
  return writable.prepare('DELETE FROM run_queue WHERE run_id = ?').run(runId).changes > 0;
}

/** Gives all waiting runs this order. */
export function orderQueue({ writable }: WritableDatabase, runIds: readonly string[]): void {
  const place = writable.prepare('UPDATE run_queue SET position = ? WHERE run_id = ?');
  writable.transaction(() => runIds.forEach((id, i) => place.run(i + 1, id)))();
}

export function isQueueHeld({ readable }: ReadableDatabase): boolean {
  return readable.prepare('SELECT 1 FROM run_queue_hold').get() !== undefined;
}

export function holdQueue({ writable }: WritableDatabase, isHeld: boolean): void {
  writable.transaction(() => {
    writable.prepare('DELETE FROM run_queue_hold').run();
    if (isHeld) writable.prepare('INSERT INTO run_queue_hold VALUES (?)').run(new Date().toISOString());
  })();
}
