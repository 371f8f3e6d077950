import type { Migration } from '../migration.ts';

/** Steps that were taken only to be measured, by machine. */
export const probes: Migration = {
  version: 9,
  apply(database) {
    database.exec(`
      CREATE TABLE probes (
        machine TEXT NOT NULL,
        created_at TEXT NOT NULL,
        entity TEXT NOT NULL
      ) STRICT;
    `);
  },
};
