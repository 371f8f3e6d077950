import { overrideSchema, type Override } from '../contract/evaluation/overrides.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** What a person said, with the hash of the answer of which it was said. */
export interface StoredOverride extends Override {
  answer: string;
}

/**
 * All that was said of an evaluation's items, the oldest first: also by way of another evaluation of the same subject
 * that asked for fewer or more of the same items.
 */
export function listOverrides({ readable }: ReadableDatabase, evaluationId: string): StoredOverride[] {
  return readable
    .prepare(
      `SELECT id, item, answer, grade, comment, seen, created_at AS createdAt, undone_at AS undoneAt
       FROM overrides WHERE evaluation_id IN (
         SELECT other.id FROM evaluations own JOIN evaluations other
         ON other.id = own.id OR (other.project = own.project AND other.items_key = own.items_key)
         WHERE own.id = ?
       ) ORDER BY id`,
    )
    .all(evaluationId)
    .map((row) => ({ ...overrideSchema.parse(row), answer: (row as { answer: string }).answer }));
}

export function insertOverride(
  { writable }: WritableDatabase,
  evaluationId: string,
  { item, answer, grade, comment, seen, createdAt }: Omit<StoredOverride, 'id' | 'undoneAt'>,
): void {
  writable
    .prepare(
      `INSERT INTO overrides (evaluation_id, item, answer, grade, comment, seen, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(evaluationId, item, answer, grade, comment, seen, createdAt);
}

export function undoOverride({ writable }: WritableDatabase, id: number, undoneAt: string): void {
  writable.prepare('UPDATE overrides SET undone_at = ? WHERE id = ? AND undone_at IS NULL').run(undoneAt, id);
}
