import type { Migration } from '../migration.ts';

/** Votes on pairs of answers: `a` and `b` are evaluations, the lesser id first. */
export const preferences: Migration = {
  version: 15,
  apply(database) {
    database.exec(`
      CREATE TABLE preferences (
        a TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
        b TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
        item TEXT NOT NULL,
        choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'tie', 'both_bad')),
        seed INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (a, b, item)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
