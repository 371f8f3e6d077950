import { runSchema, type Run } from '../../src-main/contract/entities.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';

/** A run that was never trained, for tests of what is stored and shown. */
export function sampleRun(changes: Partial<Run> = {}): Run {
  return runSchema.parse({
    id: `id-${changes.name ?? 'sample'}`,
    name: 'sample',
    project: 'default',
    modelId: 'model',
    modelName: 'tiny',
    datasetId: 'dataset',
    datasetName: 'sums',
    config: trainConfigSchema.parse({ adapter: { method: 'lora', rank: 4, alpha: 8 } }),
    state: 'done',
    trainable: 1024,
    frozenExtra: 0,
    step: 10,
    totalSteps: 10,
    lastLoss: 1.5,
    recentLoss: 1.5,
    lastHeldOutLoss: 1.75,
    dataContract: null,
    environment: null,
    error: null,
    resumable: false,
    createdAt: '2026-11-25T00:00:00.000Z',
    startedAt: '2026-11-25T00:00:01.000Z',
    endedAt: '2026-11-25T00:00:09.000Z',
    ...changes,
  });
}
