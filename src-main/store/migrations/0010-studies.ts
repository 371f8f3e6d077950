import type { Migration } from '../migration.ts';

/** Studies of a project, and room for them in the trash, whose list of kinds was closed. */
export const studies: Migration = {
  version: 10,
  apply(database) {
    database.exec(`
      CREATE TABLE studies (
        id TEXT PRIMARY KEY,
        project TEXT NOT NULL REFERENCES projects (name),
        name TEXT NOT NULL,
        created_at TEXT NOT NULL,
        entity TEXT NOT NULL,
        UNIQUE (project, name)
      ) STRICT;
      CREATE TABLE wider_trash (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL CHECK (kind IN ('runs', 'models', 'datasets', 'studies')),
        name TEXT NOT NULL,
        removed_at TEXT NOT NULL
      ) STRICT;
      INSERT INTO wider_trash SELECT id, kind, name, removed_at FROM trash ORDER BY rowid;
      DROP TABLE trash;
      ALTER TABLE wider_trash RENAME TO trash;
    `);
  },
};
