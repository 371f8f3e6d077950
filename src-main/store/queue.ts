import { scoringEntrySchema, type ScoringEntry, type ScoringQueue } from '../contract/evaluation/scoring.ts';
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

/** So many entries that have ended are kept. */
const keptEnded = 50;

/** Of all projects, by their state. What cannot be read is set aside: nothing else is to wait for it. */
export function readScoring({ readable }: ReadableDatabase): ScoringQueue {
  const unreadable: ScoringQueue['unreadable'] = [];
  const read = (states: string, order: string) =>
    (
      readable
        .prepare(`SELECT id, state, entity FROM scoring_queue WHERE state IN (${states}) ORDER BY ${order}`)
        .all() as ScoringRow[]
    ).flatMap((row) => {
      const found = entryOf(row);
      if ('reason' in found) unreadable.push(found);
      return 'reason' in found ? [] : [found];
    });
  return {
    running: read("'running'", 'position'),
    waiting: read("'waiting'", 'position'),
    ended: read("'done', 'failed'", 'ended_at DESC, position DESC'),
    unreadable,
  };
}

interface ScoringRow {
  id: string;
  state: string;
  entity: string;
}

function entryOf({ id, state, entity }: ScoringRow): ScoringEntry | ScoringQueue['unreadable'][number] {
  let stored: unknown;
  try {
    stored = JSON.parse(entity);
  } catch {
    return { id, title: id, reason: 'it is damaged' };
  }
  const fields = typeof stored === 'object' && stored !== null ? stored : {};
  const found = scoringEntrySchema.safeParse({ ...fields, state });
  if (found.success) return found.data;
  const { title } = fields as { title?: unknown };
  const [issue] = found.error.issues;
  return {
    id,
    title: typeof title === 'string' ? title : id,
    reason: `${issue!.path.join('.')}: ${issue!.message}`,
  };
}

/** Puts entries at the end. */
export function addScoring({ writable }: WritableDatabase, entries: readonly ScoringEntry[]): void {
  const insert = writable.prepare(
    `INSERT INTO scoring_queue (id, project, state, position, ended_at, entity)
     SELECT ?, ?, ?, coalesce(max(position), 0) + 1, ?, ? FROM scoring_queue`,
  );
  writable.transaction(() => {
    for (const { state, ...entry } of entries)
      insert.run(entry.id, entry.project, state, entry.endedAt, JSON.stringify(entry));
    forgetOld(writable);
  })();
}

export function updateScoring({ writable }: WritableDatabase, { state, ...entry }: ScoringEntry): void {
  writable
    .prepare('UPDATE scoring_queue SET state = ?, ended_at = ?, entity = ? WHERE id = ?')
    .run(state, entry.endedAt, JSON.stringify(entry), entry.id);
  forgetOld(writable);
}

export function removeScoring({ writable }: WritableDatabase, ids: readonly string[]): void {
  const remove = writable.prepare('DELETE FROM scoring_queue WHERE id = ?');
  writable.transaction(() => ids.forEach((id) => remove.run(id)))();
}

/** Gives all that wait this order. */
export function orderScoring({ writable }: WritableDatabase, ids: readonly string[]): void {
  const place = writable.prepare('UPDATE scoring_queue SET position = ? WHERE id = ?');
  writable.transaction(() => ids.forEach((id, i) => place.run(i + 1, id)))();
}

function forgetOld(writable: WritableDatabase['writable']): void {
  writable
    .prepare(
      `DELETE FROM scoring_queue WHERE id IN (SELECT id FROM scoring_queue WHERE ended_at IS NOT NULL
       ORDER BY ended_at DESC, position DESC LIMIT -1 OFFSET ?)`,
    )
    .run(keptEnded);
}
