import type { Migration } from '../migration.ts';

/**
 * Entities are stored as the JSON of their contract schema, beside the columns by which they are found. Metrics are
 * plain columns: there are many of them.
 */
export const initialTables: Migration = {
  version: 1,
  apply(database) {
    database.exec(`
      CREATE TABLE projects (name TEXT PRIMARY KEY, created_at TEXT NOT NULL) STRICT;
      CREATE TABLE models (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, entity TEXT NOT NULL) STRICT;
      CREATE TABLE datasets (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, entity TEXT NOT NULL) STRICT;
      CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        project TEXT NOT NULL REFERENCES projects (name),
        name TEXT NOT NULL,
        state TEXT NOT NULL,
        created_at TEXT NOT NULL,
        entity TEXT NOT NULL,
        UNIQUE (project, name)
      ) STRICT;
      CREATE INDEX runs_by_time ON runs (project, created_at);
      CREATE TABLE step_metrics (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        loss REAL NOT NULL,
        lr REAL NOT NULL,
        grad_norm REAL NOT NULL,
        tokens_per_second REAL NOT NULL,
        PRIMARY KEY (run_id, step)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE eval_metrics (
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        step INTEGER NOT NULL,
        loss REAL NOT NULL,
        rows INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        PRIMARY KEY (run_id, step)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE run_logs (
        id INTEGER PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        line TEXT NOT NULL
      ) STRICT;
      CREATE INDEX run_logs_by_run ON run_logs (run_id);
      CREATE TABLE evaluations (
        id TEXT PRIMARY KEY,
        project TEXT NOT NULL REFERENCES projects (name),
        run_id TEXT REFERENCES runs (id) ON DELETE CASCADE,
        cache_key TEXT NOT NULL,
        created_at TEXT NOT NULL,
        entity TEXT NOT NULL
      ) STRICT;
      CREATE INDEX evaluations_by_key ON evaluations (project, cache_key);
      CREATE TABLE evaluation_items (
        evaluation_id TEXT NOT NULL REFERENCES evaluations (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        entity TEXT NOT NULL,
        PRIMARY KEY (evaluation_id, position)
      ) STRICT, WITHOUT ROWID;
      CREATE TABLE exports (
        id TEXT PRIMARY KEY,
        run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        created_at TEXT NOT NULL,
        entity TEXT NOT NULL
      ) STRICT;
    `);
  },
};
