import type { Migration } from '../migration.ts';

/**
 * A project's title (the name stays its key: runs point to it), its one question and the limits of it, and when it was
 * opened last.
 */
export const projectGoals: Migration = {
  version: 3,
  apply(database) {
    database.exec(`
      ALTER TABLE projects ADD COLUMN title TEXT NOT NULL DEFAULT '';
      ALTER TABLE projects ADD COLUMN question TEXT NOT NULL DEFAULT '';
      ALTER TABLE projects ADD COLUMN benchmark TEXT;
      ALTER TABLE projects ADD COLUMN max_trainable INTEGER;
      ALTER TABLE projects ADD COLUMN opened_at TEXT NOT NULL DEFAULT '';
    `);
  },
};
