import type { Migration } from '../migration.ts';

/** What models in training say to the prompts of their runs. */
export const samples: Migration = {
  version: 6,
  apply(database) {
    database.exec(`
      CREATE TABLE samples (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        prompt INTEGER NOT NULL,
        step INTEGER NOT NULL,
        text TEXT NOT NULL,
        tokens INTEGER NOT NULL,
        ending TEXT NOT NULL,
        PRIMARY KEY (run_id, prompt, step)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
