import type { Sample } from '../contract/entities.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** An answer of a repeated step (after a resume) replaces the old one. */
export function insertSamples(
  { writable }: WritableDatabase,
  runId: string,
  samples: readonly Sample[],
): void {
  const insert = writable.prepare(
    'INSERT OR REPLACE INTO samples (run_id, prompt, step, text, tokens, ending) VALUES (?, ?, ?, ?, ?, ?)',
  );
  for (const { prompt, step, text, tokens, end } of samples)
    insert.run(runId, prompt, step, text, tokens, end);
}

/** Answers to one prompt in order of their step; of more than `limit` evenly chosen ones, with the first and the last. */
export function readSamples(
  { readable }: ReadableDatabase,
  runId: string,
  { prompt, limit }: { prompt: number; limit: number },
): Sample[] {
  // Row n of `total` is taken where its share of the limit grows past a whole number: limit - 1 of them, and the last.
  return readable
    .prepare(
      `WITH numbered AS (
         SELECT *, row_number() OVER (ORDER BY step) - 1 AS n, count(*) OVER () AS total
         FROM samples WHERE run_id = ? AND prompt = ?
       )
       SELECT step, prompt, text, tokens, ending AS end FROM numbered
       WHERE total <= ? OR n = total - 1 OR n * (? - 1) / total > (n - 1) * (? - 1) / total OR n = 0
       ORDER BY step`,
    )
    .all(runId, prompt, limit, limit, limit) as Sample[];
}
