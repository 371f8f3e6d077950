import type { Migration } from '../migration.ts';

/**
 * Items that are graded, from the moment that they are: an evaluation that is stopped or killed goes on behind them,
 * and one on more items of the same kind begins with them. `items_key` says what was scored and how, without how many.
 */
export const scoredItems: Migration = {
  version: 14,
  apply(database) {
    database.exec(`
      CREATE TABLE pending_items (
        project TEXT NOT NULL REFERENCES projects (name),
        items_key TEXT NOT NULL,
        position INTEGER NOT NULL,
        entity TEXT NOT NULL,
        PRIMARY KEY (project, items_key, position)
      ) STRICT, WITHOUT ROWID;
      ALTER TABLE evaluations ADD COLUMN items_key TEXT;
      CREATE INDEX evaluations_by_items ON evaluations (project, items_key);
    `);
  },
};
