import type { Migration } from '../migration.ts';

/** Runs of all projects that wait for their turn, and whether the queue is held: then the second table has a row. */
export const runQueue: Migration = {
  version: 5,
  apply(database) {
    database.exec(`
      CREATE TABLE run_queue (
        run_id TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
        position INTEGER NOT NULL
      ) STRICT;
      CREATE TABLE run_queue_hold (since TEXT NOT NULL) STRICT;
    `);
  },
};
