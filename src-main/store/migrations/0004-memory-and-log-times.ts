import type { Migration } from '../migration.ts';

/** Memory of a step, and when and how grave a line of the log was: unknown where they were not kept. */
export const memoryAndLogTimes: Migration = {
  version: 4,
  apply(database) {
    database.exec(`
      ALTER TABLE step_metrics ADD COLUMN memory_bytes INTEGER;
      ALTER TABLE run_logs ADD COLUMN time TEXT;
      ALTER TABLE run_logs ADD COLUMN level TEXT NOT NULL DEFAULT 'info';
    `);
  },
};
