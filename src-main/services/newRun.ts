import type { Run } from '../contract/entities.ts';
import { newId } from './context.ts';

/** A run that has not had its turn yet. */
export function newRun(
  given: Pick<Run, 'name' | 'project' | 'modelId' | 'modelName' | 'datasetId' | 'datasetName' | 'config'>,
): Run {
  return {
    id: newId(),
    ...given,
    state: 'queued',
    trainable: null,
    frozenExtra: null,
    step: 0,
    totalSteps: null,
    lastLoss: null,
    lastHeldOutLoss: null,
    best: null,
    skippedSteps: 0,
    endReason: null,
    dataContract: null,
    environment: null,
    forecast: null,
    measured: null,
    error: null,
    resumable: false,
    parent: null,
    createdAt: new Date().toISOString(),
    startedAt: null,
    endedAt: null,
    notes: '',
    tags: [],
  };
}
