import type { Migration } from '../migration.ts';

/**
 * Work that ends in scores: what waits, what has its turn, and the last that have ended. `entity` is the entry as the
 * contract has it, but for its state and its place. Runs are named inside it: one that is removed while its scoring
 * waits is told, not forgotten.
 */
export const scoringQueue: Migration = {
  version: 19,
  apply(database) {
    database.exec(`
      CREATE TABLE scoring_queue (
        id TEXT PRIMARY KEY,
        project TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
        position INTEGER NOT NULL,
        ended_at TEXT,
        entity TEXT NOT NULL
      ) STRICT;
    `);
  },
};
