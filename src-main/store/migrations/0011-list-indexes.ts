import type { Migration } from '../migration.ts';

/**
 * Evaluations are listed in slices, newest first, and found by their run; the runs of a project that are under way are
 * counted.
 */
export const listIndexes: Migration = {
  version: 11,
  apply(database) {
    database.exec(`
      CREATE INDEX evaluations_by_time ON evaluations (project, created_at);
      CREATE INDEX evaluations_by_run ON evaluations (run_id);
      CREATE INDEX runs_by_state ON runs (project, state);
    `);
  },
};
