import type { Migration } from '../migration.ts';

/** Mixes of a project, with room for them in the trash, and the losses of their sources in runs. */
export const mixes: Migration = {
  version: 13,
  apply(database) {
    database.exec(`
      CREATE TABLE mixes (
        id TEXT PRIMARY KEY,
        project TEXT NOT NULL REFERENCES projects (name),
        name TEXT NOT NULL,
        entity TEXT NOT NULL,
        UNIQUE (project, name)
      ) STRICT;
      CREATE TABLE source_metrics (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        held_out INTEGER NOT NULL,
        source INTEGER NOT NULL,
        loss REAL NOT NULL,
        tokens INTEGER NOT NULL,
        PRIMARY KEY (run_id, held_out, step, source)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE wider_trash (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('runs', 'models', 'datasets', 'studies', 'mixes')),
        name TEXT NOT NULL,
        removed_at TEXT NOT NULL
      ) STRICT;
      INSERT INTO wider_trash SELECT id, kind, name, removed_at FROM trash ORDER BY rowid;
      DROP TABLE trash;
      ALTER TABLE wider_trash RENAME TO trash;
    `);
  },
};
