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
 * Optimizer steps over a dataset; null where rows are packed, as their tokens decide how many packs there are, or where
 * nobody knows the rows. Those of a mix and of packed rows are counted (`mixes.steps`).
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
): number | null {
  if (maxSteps !== null) return maxSteps;
  if (trainRows === null || packing) return null;
  return Math.max(1, Math.ceil(epochs * Math.ceil(trainRows / (batch * accumulate))));
}

/** What of a configuration decides which rows a run trains on, and in how many steps. */
export function passOptions(config: TrainConfig) {
  const { context, truncation, template, templateSource, system, trainOn } = config;
  const { seed, heldOutFraction, batch, accumulate, packing, epochs, maxSteps } = config;
  const rendering = { truncation, template, templateSource, system, trainOn };
  return { context, ...rendering, seed, heldOutFraction, batch, accumulate, packing, epochs, maxSteps };
}

/** One for all configurations with the same passes and the same number of steps. */
export function passKey(config: TrainConfig): string {
  return JSON.stringify(passOptions(config));
}

/** One configuration of each `passKey`. */
export function distinctPasses(configs: readonly TrainConfig[]): TrainConfig[] {
  const keys = configs.map(passKey);
  return configs.filter((_, i) => keys.indexOf(keys[i]!) === i);
}

/** A checkpoint is due after so long, whatever the number of steps: a run that is killed loses no more. */
export const checkpointEveryMs = 10 * 60_000;

/** How many of the latest checkpoints a run keeps, besides the best one. */
export function keptCheckpoints({ checkpointEvery }: Pick<TrainConfig, 'checkpointEvery'>): number {
  return checkpointEvery > 0 ? 2 : 1;
}
