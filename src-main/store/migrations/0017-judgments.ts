import type { Migration } from '../migration.ts';

/**
 * What judge models said of pairs of answers: `a` and `b` are evaluations, the lesser id first; `judge` is the hash of
 * everything that decides a judge's verdicts, its prompt included. Both outputs are kept as they came: `forward` where
 * the answer of `a` stood first.
 */
export const judgments: Migration = {
  version: 17,
  apply(database) {
    database.exec(`
      CREATE TABLE judgments (
        a TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
        b TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
        judge TEXT NOT NULL,
        item TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        choice TEXT NOT NULL CHECK (choice IN ('a', 'b', 'tie', 'order', 'abstained')),
        forward TEXT,
        backward TEXT,
        created_at TEXT NOT NULL,
        PRIMARY KEY (a, b, judge, item)
      ) STRICT, WITHOUT ROWID;
    `);
  },
};
