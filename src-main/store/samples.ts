import type { Sample } from '../contract/runRecords.ts';
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

/**
 * Answers to one prompt in order of their step; of more than `limit` evenly chosen ones, with the first and the last.
 */
export function readSamples(
  { readable }: ReadableDatabase,
  runId: string,
  { prompt, limit }: { prompt: number; limit: number },
): Sample[] {
  // Row n is taken where its share of the parts between the first and the last grows past a whole number. Numbers are
  // bound as floats, which would not be divided as whole ones: hence the cast.
  return readable
    .prepare(
      `WITH numbered AS (
         SELECT *, row_number() OVER (ORDER BY step) - 1 AS n, count(*) OVER () AS total,
           CAST(? AS INTEGER) - 1 AS parts
         FROM samples WHERE run_id = ? AND prompt = ?
       )
       SELECT step, prompt, text, tokens, ending AS end FROM numbered
       WHERE total <= parts + 1 OR n = 0 OR n * parts / (total - 1) > (n - 1) * parts / (total - 1)
       ORDER BY step`,
    )
    .all(limit, runId, prompt) as Sample[];
}
