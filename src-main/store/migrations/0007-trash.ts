import type { Migration } from '../migration.ts';

/**
 * What was removed and can still be brought back. The row itself stays in its table, under its id as its name, so that
 * its name is free; the name that it had is kept here.
 */
export const trash: Migration = {
  version: 7,
  apply(database) {
    database.exec(`
      CREATE TABLE trash (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('runs', 'models', 'datasets')),
        name TEXT NOT NULL,
        removed_at TEXT NOT NULL
      ) STRICT;
    `);
  },
};
