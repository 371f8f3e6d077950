import type { Migration } from '../migration.ts';

/**
 * Runs from before the mean loss of their last steps was kept get it from their metrics: lists showed the loss of their
 * last batch in its place.
 */
export const recentLosses: Migration = {
  version: 12,
  apply(database) {
    database.exec(`
      UPDATE runs SET entity = json_set(entity, '$.recentLoss', (
        SELECT AVG(loss) FROM (
          SELECT loss FROM step_metrics WHERE run_id = runs.id ORDER BY step DESC LIMIT 20
        )
      ))
      WHERE entity ->> '$.recentLoss' IS NULL
        AND EXISTS (SELECT 1 FROM step_metrics WHERE run_id = runs.id);
    `);
  },
};
