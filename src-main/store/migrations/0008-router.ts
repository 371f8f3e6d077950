import type { Migration } from '../migration.ts';

/** How much experts were used: the layout once a run, then f32 numbers for each evaluation. */
export const router: Migration = {
  version: 8,
  apply(database) {
    database.exec(`
      CREATE TABLE router_layouts (
        run_id TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
        layout TEXT NOT NULL
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE router_records (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        mean BLOB NOT NULL,
        magnitude BLOB NOT NULL,
        PRIMARY KEY (run_id, step)
      ) STRICT;
    `);
  },
};
