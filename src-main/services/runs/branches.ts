import { join } from 'node:path';
import { checkOptions } from '../../options/checkOptions.ts';
import { continuedConfig } from '../../options/continuedConfig.ts';
import { checkSchedule } from '../../options/schedule.ts';
import { recentSteps, type Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import {
  checkpointName,
  checkpointStep,
  listCheckpoints,
} from '../../formats/checkpoint/checkpointFolder.ts';
import { linkFolder } from '../../formats/files/atomicFile.ts';
import { copyMetrics, readEvals, recentLossOf, stepLoss } from '../../store/metrics.ts';
import { insertRun, removeRun } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { newRun } from './newRun.ts';

/** What a branch is to be: the parent's step to start from, its name, and what it changes. */
export interface BranchRequest {
  step: number;
  name: string;
  changes: Record<string, unknown>;
}

/** @throws StudioError not_found without a checkpoint of that step */
function checkpointOf({ paths }: ServiceContext, parent: Run, step: number): string {
  const checkpoints = listCheckpoints(paths.runCheckpoints(parent.id));
  const checkpoint = checkpoints.find((folder) => checkpointStep(folder) === step);
  if (checkpoint === undefined)
    throw new StudioError(
      'not_found',
      `The run "${parent.name}" has no checkpoint of step ${step}.`,
      checkpoints.length > 0
        ? `There are those of the steps ${checkpoints.map(checkpointStep).join(', ')}.`
        : 'Let it train until its first checkpoint.',
    );
  return checkpoint;
}

/**
 * A run that would go on from a checkpoint of another with a changed configuration; nothing is written.
 * @throws StudioError not_found without that checkpoint; config_invalid naming what cannot be changed, or where no step
 * is left
 */
export function plannedBranch(context: ServiceContext, parent: Run, request: BranchRequest): Run {
  const { step, name } = request;
  checkpointOf(context, parent, step);
  const config = continuedConfig(parent.config, request.changes, 'A branch');
  checkOptions(config);
  const end = config.maxSteps ?? (config.epochs === parent.config.epochs ? parent.totalSteps : null);
  if (end !== null && end <= step)
    throw new StudioError(
      'config_invalid',
      `A branch from step ${step} that ends at step ${end} has no step left to train.`,
      `Set maxSteps above ${step}: it counts the steps before the branch, too.`,
    );
  if (end !== null) checkSchedule(config, end);
  const evaluations = readEvals(context.database, parent.id, 0, step);
  const { modelId, modelName, datasetId, datasetName, mix, project, trainable, frozenExtra } = parent;
  return {
    ...newRun({ name, project, modelId, modelName, datasetId, datasetName, mix, config }),
    parent: { runId: parent.id, step },
    trainable,
    frozenExtra,
    step,
    totalSteps: end,
    lastLoss: stepLoss(context.database, parent.id, step),
    recentLoss: recentLossOf(context.database, parent.id, recentSteps, step),
    lastHeldOutLoss: evaluations.at(-1)?.loss ?? null,
  };
}

/**
 * Makes such a run. It owns the checkpoint (a link to its files) and the curves up to there: what becomes of the parent
 * does not matter to it.
 *
 * @returns the run as stored, to be put into the queue
 * @throws StudioError as `plannedBranch` does
 */
export function createBranch(context: ServiceContext, parent: Run, request: BranchRequest): Run {
  const { step } = request;
  const branch = plannedBranch(context, parent, request);
  const checkpoint = checkpointOf(context, parent, step);
  // The record first: files without one would never be found again.
  insertRun(context.writable(), branch);
  try {
    linkFolder(checkpoint, join(context.paths.runCheckpoints(branch.id), checkpointName(step)));
    copyMetrics(context.writable(), parent.id, branch.id, step);
  } catch (error) {
    removeRun(context.writable(), branch.id);
    throw error;
  }
  return branch;
}
