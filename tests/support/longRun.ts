import type { EvalMetric, StepMetric } from '../../src-main/contract/runRecords.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { openWritable } from '../../src-main/store/database.ts';
import { writeMetrics } from '../../src-main/store/metrics.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { insertRun } from '../../src-main/store/runs.ts';
import { sampleRun } from './sampleRun.ts';

/** Step metrics as a run makes them: a loss that falls, noise, and one spike at 60 % of the way. */
export function longCurve(count: number): StepMetric[] {
  const random = createRandom(1);
  return Array.from({ length: count }, (_, i) => {
    const noise = random.next();
    const isSpike = i === Math.floor(count * 0.6);
    return {
      step: i + 1,
      loss: 1.2 + 2.5 * Math.exp((-5 * i) / count) + 0.4 * (noise - 0.5) + (isSpike ? 9 : 0),
      lr: 2e-4 * (1 - i / count),
      gradNorm: 0.5 + random.next() + (isSpike ? 30 : 0),
      tokensPerSecond: 4000 + 400 * random.next(),
      memoryBytes: Math.round(1.4e9 + 1e8 * Math.min(1, i / 500)),
    };
  });
}

/** Evaluations of the same run. */
export function longEvaluations(count: number, every: number): EvalMetric[] {
  return Array.from({ length: Math.floor(count / every) }, (_, i) => ({
    step: (i + 1) * every,
    loss: 1.3 + 2.4 * Math.exp((-5 * (i + 1) * every) / count),
    rows: 64,
    tokens: 4096,
  }));
}

/** Makes a finished run of so many steps in a database. @returns its id */
export function writeLongRun(path: string, name: string, count: number): string {
  const database = openWritable(path);
  try {
    ensureProject(database, 'default');
    const run = sampleRun({ name, step: count, totalSteps: count, state: 'done' });
    insertRun(database, run);
    const evals = longEvaluations(count, Math.max(1, Math.floor(count / 100)));
    writeMetrics(database, run.id, { steps: longCurve(count), evals, samples: [], logs: [] });
    return run.id;
  } finally {
    database.writable.close();
  }
}
