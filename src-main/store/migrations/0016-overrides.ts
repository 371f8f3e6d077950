import type { Migration } from '../migration.ts';

/**
 * What a person says of graded answers: a row for each change, never rewritten but for when it was taken back. `answer`
 * is a hash of what was asked and answered, so that nothing holds for another answer to the same item.
 */
export const overrides: Migration = {
  version: 16,
  apply(database) {
    database.exec(`
      CREATE TABLE overrides (
        id INTEGER PRIMARY KEY,
        evaluation_id TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
        item TEXT NOT NULL,
        answer TEXT NOT NULL,
        grade TEXT CHECK (grade IN ('pass', 'fail')),
        comment TEXT NOT NULL,
        seen TEXT NOT NULL CHECK (seen IN ('names', 'blind')),
        created_at TEXT NOT NULL,
        undone_at TEXT
      ) STRICT;
      CREATE INDEX overrides_by_evaluation ON overrides (evaluation_id, item);
    `);
  },
};
