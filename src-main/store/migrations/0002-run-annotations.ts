import type { Migration } from '../migration.ts';

/**
 * What a person writes about a run, in columns of its own: while a run trains, its entity is written from the
 * recorder's copy, which knows nothing of them. With them the name, which was a column already, becomes the one that
 * counts.
 */
export const runAnnotations: Migration = {
  version: 2,
  apply(database) {
    database.exec(`
      ALTER TABLE runs ADD COLUMN notes TEXT NOT NULL DEFAULT '';
      ALTER TABLE runs ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
    `);
  },
};
