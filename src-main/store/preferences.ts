import { preferenceVoteSchema, type PreferenceVote } from '../contract/evaluation/preferences.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** Two evaluations, the lesser id first. */
export interface JudgedPair {
  a: string;
  b: string;
}

/** The first vote first. */
export function listVotes({ readable }: ReadableDatabase, { a, b }: JudgedPair): PreferenceVote[] {
  return readable
    .prepare(
      `SELECT item, choice, CAST(seed AS INTEGER) AS seed, created_at AS createdAt FROM preferences
       WHERE a = ? AND b = ? ORDER BY created_at, item`,
    )
    .all(a, b)
    .map((row) => preferenceVoteSchema.parse(row));
}

/** Keeps a vote in place of an earlier one on the same item. */
export function keepVote({ writable }: WritableDatabase, { a, b }: JudgedPair, vote: PreferenceVote): void {
  writable
    .prepare('INSERT OR REPLACE INTO preferences VALUES (?, ?, ?, ?, CAST(? AS INTEGER), ?)')
    .run(a, b, vote.item, vote.choice, vote.seed, vote.createdAt);
}

export function dropVote({ writable }: WritableDatabase, { a, b }: JudgedPair, item: string): void {
  writable.prepare('DELETE FROM preferences WHERE a = ? AND b = ? AND item = ?').run(a, b, item);
}
