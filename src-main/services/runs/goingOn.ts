import type { Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { TrainConfig } from '../../contract/training.ts';
import { checkOptions } from '../../options/checkOptions.ts';
import { continuedConfig } from '../../options/continuedConfig.ts';
import { checkSchedule } from '../../options/schedule.ts';

/**
 * Whether a run without a checkpoint may train its first steps once more: one that was killed may; who stopped one and
 * kept nothing did not want it.
 */
export function mayBeginAnew({ step, state }: Run): boolean {
  return step === 0 || state !== 'stopped';
}

/**
 * Refuses to resume a run that has reached its end, unless it goes further with what was changed: an engine that takes
 * no step would only overwrite what is known of the training. @throws StudioError config_invalid
 */
function refuseDone({ name, step, totalSteps, endReason, config: before }: Run, config: TrainConfig): void {
  const end = config.maxSteps ?? (config.epochs === before.epochs ? totalSteps : null);
  const { earlyStoppingPatience: patience } = config;
  if (
    endReason === 'early_stopped' &&
    patience !== null &&
    patience <= (before.earlyStoppingPatience ?? Infinity)
  )
    throw new StudioError(
      'config_invalid',
      `The run "${name}" is done: it ended early at step ${step}, after ${before.earlyStoppingPatience} evaluations without a lower held-out loss.`,
      `Set earlyStoppingPatience above ${patience} to go on, or branch from one of its checkpoints.`,
      { option: ['earlyStoppingPatience'] },
    );
  if (end !== null && end <= step)
    throw new StudioError(
      'config_invalid',
      `The run "${name}" is done: it has taken all of its ${step} steps.`,
      `Set maxSteps above ${step} to go on, or branch from one of its checkpoints.`,
      { option: ['maxSteps'] },
    );
}

/**
 * A run that ended before its last step, as it is queued again; nothing is written yet. Without a checkpoint it begins
 * anew, with the same seed.
 * @throws StudioError config_invalid; no_checkpoint where it was stopped without one
 */
export function queuedAgain(run: Run, hasCheckpoint: boolean, changes: Partial<TrainConfig>): Run {
  if (!hasCheckpoint && !mayBeginAnew(run))
    throw new StudioError(
      'no_checkpoint',
      `The run "${run.name}" was stopped without a checkpoint to resume from.`,
      'Start a new run with the same configuration.',
    );
  const config = hasCheckpoint
    ? continuedConfig(run.config, changes, 'A resumed run')
    : { ...run.config, ...changes };
  if (run.state === 'done') refuseDone(run, config);
  checkOptions(config);
  if (config.maxSteps !== null) checkSchedule(config, config.maxSteps);
  const queued: Run = { ...run, config, state: 'queued', error: null, endReason: null, endedAt: null };
  return hasCheckpoint ? queued : { ...queued, ...nothingTrained };
}

/** What is known of a run before its first step. */
const nothingTrained = {
  step: 0,
  lastLoss: null,
  recentLoss: null,
  lastHeldOutLoss: null,
  best: null,
  skippedSteps: 0,
} satisfies Partial<Run>;
