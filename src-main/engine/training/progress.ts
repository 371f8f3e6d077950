import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { Precision } from '../../contract/training.ts';

/** Where a run is. With parameters and the optimizer's state it decides all that follows, so checkpoints keep it. */
export const progressSchema = z.object({
  /** Steps behind it, skipped ones included. */
  step: z.number().int().min(0),
  /** Loss of the last step that changed anything; null before the first. */
  lastLoss: z.number().nullable(),
  /** Steps that changed nothing because loss or gradient were not finite. */
  skippedSteps: z.number().int().min(0).default(0),
  /** How many of the latest steps were such. */
  skippedInARow: z.number().int().min(0).default(0),
  /** The evaluation with the lowest held-out loss. */
  best: z.object({ step: z.number().int(), loss: z.number() }).nullable().default(null),
  /** Evaluations since then. */
  evaluationsSinceBest: z.number().int().min(0).default(0),
});
export type Progress = z.infer<typeof progressSchema>;

export const startOfRun: Progress = progressSchema.parse({ step: 0, lastLoss: null });

/**
 * Training ends at so many skipped steps in a row. One bad row spoils one step, and the next is on other rows; but
 * parameters that overflow on three different batches overflow on all, and skipping would go on to the last step
 * without learning anything.
 */
export const mostSkippedInARow = 3;

/** After a step that was applied. */
export function afterUpdate(progress: Progress, loss: number): Progress {
  return { ...progress, step: progress.step + 1, lastLoss: loss, skippedInARow: 0 };
}

/** After a step that was skipped. */
export function afterSkip(progress: Progress): Progress {
  const { step, skippedSteps, skippedInARow } = progress;
  return {
    ...progress,
    step: step + 1,
    skippedSteps: skippedSteps + 1,
    skippedInARow: skippedInARow + 1,
  };
}

/** After an evaluation; a loss that is not finite is never the best. */
export function afterEvaluation(progress: Progress, loss: number): Progress {
  const isBest = Number.isFinite(loss) && loss < (progress.best?.loss ?? Infinity);
  return isBest
    ? { ...progress, best: { step: progress.step, loss }, evaluationsSinceBest: 0 }
    : { ...progress, evaluationsSinceBest: progress.evaluationsSinceBest + 1 };
}

export function updatesIn({ step, skippedSteps }: Progress): number {
  return step - skippedSteps;
}

/**
 * Weights are looked through when a model is added: rows of the embedding may still be no numbers, and files may have
 * changed since.
 */
const damagedWeights =
  'some weights of the model are no numbers, for example in the embedding of a token of your rows: compare its files with their source, and where they are the same, choose another model';

/** @param at `kept`: the step whose checkpoint is on disk; null: no step was ever applied */
export function notFinite(
  result: { loss: number; gradNorm: number },
  at: { step: number; learningRate: number; kept: number | null; precision: Precision },
): StudioError {
  const { step, learningRate, kept, precision } = at;
  const isF32 = precision === 'f32';
  const untouched = isF32 ? `${damagedWeights}.` : `use f32; if that does not help, ${damagedWeights}.`;
  const remedy =
    kept === null
      ? `No step could be applied from the start on, so the learning rate is not the cause: ${untouched}`
      : `The state of step ${kept}, before them, is kept as a checkpoint. Lower the learning rate${isF32 ? '' : ' or use f32'}, and start again, or resume from it.`;
  return new StudioError(
    'loss_not_finite',
    `At step ${step} the loss is ${result.loss} and the gradient norm ${result.gradNorm} (learning rate ${learningRate}); ${mostSkippedInARow} steps in a row could not be applied.`,
    remedy,
  );
}
