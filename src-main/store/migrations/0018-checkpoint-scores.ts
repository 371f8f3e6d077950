import type { Migration } from '../migration.ts';

/** Scores of a run's kept checkpoints: of the step that `step` names. Lists of scores leave them out. */
export const checkpointScores: Migration = {
  version: 18,
  apply(database) {
    database.exec(`
      ALTER TABLE evaluations ADD COLUMN step INTEGER;
      CREATE INDEX evaluations_of_checkpoints ON evaluations (project, run_id) WHERE step IS NOT NULL;
    `);
  },
};
