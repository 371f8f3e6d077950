import type { TrainConfig } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';
import { optionDefaults } from './trainingOptions.ts';

/**
 * Longest row, in tokens, that a run trains on: the one asked for. A model with fewer positions than the default has
 * its own as default.
 *
 * @param contextLength positions of the model
 * @throws StudioError config_invalid where another length beyond the model's is asked for
 */
export function fittingContext(context: number, contextLength: number): number {
  if (context <= contextLength) return context;
  if (context === optionDefaults.context) return contextLength;
  throw impossible(
    `A context of ${context} tokens is longer than the model's, which ends after ${contextLength}.`,
    `Set the context to ${contextLength} or less.`,
    ['context'],
  );
}

/** Rows that are held out: at least one row stays for training. */
export function heldOutCount(rows: number, fraction: number): number {
  return Math.min(rows - 1, Math.round(rows * fraction));
}

/**
 * Optimizer steps; null where rows are packed and nobody counted the packs, as their tokens decide how many there are,
 * or where there are no rows.
 * @param packedSteps steps of one pass over the packed rows, where they were counted
 */
export function stepCount(
  {
    maxSteps,
    epochs,
    batch,
    accumulate,
    packing,
  }: Pick<TrainConfig, 'maxSteps' | 'epochs' | 'batch' | 'accumulate' | 'packing'>,
  trainRows: number | null,
  packedSteps: number | null = null,
): number | null {
  if (maxSteps !== null) return maxSteps;
  if (trainRows === null) return null;
  const steps = packing ? packedSteps : Math.ceil(trainRows / (batch * accumulate));
  return steps === null ? null : Math.max(1, Math.ceil(epochs * steps));
}

/** A checkpoint is due after so long, whatever the number of steps: a run that is killed loses no more. */
export const checkpointEveryMs = 10 * 60_000;

/** How many of the latest checkpoints a run keeps, besides the best one. */
export function keptCheckpoints({ checkpointEvery }: Pick<TrainConfig, 'checkpointEvery'>): number {
  return checkpointEvery > 0 ? 2 : 1;
}
