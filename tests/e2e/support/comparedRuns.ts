import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recentSteps } from '../../../src-main/contract/entities.ts';
import { trainConfigSchema, type Method } from '../../../src-main/contract/training.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { writeMetrics } from '../../../src-main/store/metrics.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { insertRun } from '../../../src-main/store/runs.ts';
import { sampleRun } from '../../support/sampleRun.ts';

export const comparedMethods: readonly Method[] = ['lora', 'dora', 'idlora', 'full', 'hydralora', 'moelora'];
const steps = 60;

/** A data folder with one run of each method that differ in little, with their curves. */
export function homeWithCurves(): string {
  const home = mkdtempSync(join(tmpdir(), 'id-lora-e2e-'));
  const database = openWritable(join(home, 'studio.db'));
  ensureProject(database, 'default');
  comparedMethods.forEach((method, i) => {
    const losses = Array.from({ length: steps }, (_, at) => 1 + i / 10 + 3 * Math.exp(-at / 15));
    const recent = losses.slice(-recentSteps);
    const run = sampleRun({
      id: `run-${method}`,
      name: `first ${method}`,
      config: trainConfigSchema.parse({
        adapter: { method, rank: method === 'full' ? 1 : 4, alpha: method === 'full' ? 1 : 8 },
        learningRate: method === 'dora' ? 1e-4 : 2e-4,
        maxSteps: steps,
      }),
      state: method === 'hydralora' ? 'failed' : 'done',
      step: steps,
      totalSteps: steps,
      lastLoss: losses.at(-1)!,
      recentLoss: recent.reduce((sum, loss) => sum + loss, 0) / recent.length,
      createdAt: new Date(Date.UTC(2026, 0, 1 + i)).toISOString(),
      dataContract: {
        hash: 'h',
        parts: {},
        sources: [],
        datasetHash: 'h',
        rows: 40,
        trainRows: 40,
        heldOutRows: 0,
        truncatedRows: 0,
        droppedRows: 0,
        refusedRows: 0,
        tokens: 800,
        trainedTokens: 200,
        packing: null,
      },
    });
    insertRun(database, run);
    writeMetrics(database, run.id, {
      steps: losses.map((loss, at) => ({
        step: at + 1,
        loss,
        lr: 1e-4,
        gradNorm: 1,
        tokensPerSecond: 500,
        memoryBytes: null,
      })),
      evals: [30, 60].map((step) => ({ step, loss: 2 - step / 60, rows: 4, tokens: 80 })),
      logs: [],
    });
  });
  database.writable.close();
  return home;
}
