import { judgmentSchema, type Judgment } from '../contract/evaluation/judgments.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import type { JudgedPair } from './preferences.ts';

/** A judge's word on one pair, with who it is. */
export interface StoredJudgment extends Judgment {
  /** Hash of everything that decides its verdicts. */
  judge: string;
  name: string;
  version: string;
}

/** Of all judges, the first one first. */
export function listJudgments({ readable }: ReadableDatabase, { a, b }: JudgedPair): StoredJudgment[] {
  return readable
    .prepare(
      `SELECT judge, name, version, item, choice, forward, backward FROM judgments
       WHERE a = ? AND b = ? ORDER BY created_at, item`,
    )
    .all(a, b)
    .map((row) => {
      const { judge, name, version } = row as Pick<StoredJudgment, 'judge' | 'name' | 'version'>;
      return { ...judgmentSchema.parse(row), judge, name, version };
    });
}

/** Keeps a word in place of an earlier one of the same judge on the same item. */
export function keepJudgments(
  { writable }: WritableDatabase,
  { a, b }: JudgedPair,
  judgments: readonly StoredJudgment[],
): void {
  const insert = writable.prepare('INSERT OR REPLACE INTO judgments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const now = new Date().toISOString();
  writable.transaction(() => {
    for (const { judge, item, name, version, choice, forward, backward } of judgments)
      insert.run(a, b, judge, item, name, version, choice, forward, backward, now);
  })();
}
