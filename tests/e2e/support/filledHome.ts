import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openWritable } from '../../../src-main/store/database.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { insertEvaluation } from '../../../src-main/store/results.ts';
import { insertRun } from '../../../src-main/store/runs.ts';
import { sampleEvaluation, sampleKeys } from '../../support/sampleEvaluation.ts';
import { sampleRun } from '../../support/sampleRun.ts';

/** A data folder as months of work leave it: many runs and scores, without their training. */
export function filledHome(options: { runs: number; evaluations: number }): string {
  const home = mkdtempSync(join(tmpdir(), 'id-lora-e2e-'));
  const database = openWritable(join(home, 'studio.db'));
  ensureProject(database, 'default');
  database.writable.transaction(() => {
    for (let i = 0; i < options.runs; i++)
      insertRun(database, sampleRun({ id: `run${i}`, name: `sweep-${i}`, createdAt: time(i) }));
    for (let i = 0; i < options.evaluations; i++)
      insertEvaluation(
        database,
        sampleEvaluation({
          id: `evaluation${i}`,
          runId: `run${i % options.runs}`,
          subject: `sweep-${i % options.runs}`,
          score: i / options.evaluations,
          // Each on items of its own, so that Home has nothing to compare.
          dataHash: `data ${i}`,
          createdAt: time(i),
        }),
        sampleKeys(`key ${i}`),
        [],
      );
  })();
  database.writable.close();
  return home;
}

/** A minute apart, the last one newest. */
function time(index: number): string {
  return new Date(Date.UTC(2026, 0, 1) + 60_000 * index).toISOString();
}
