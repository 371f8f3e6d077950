import type { Schedule, TrainConfig } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';

/** The options that decide the learning rate of each step. */
export const rateOptions = [
  'learningRate',
  'schedule',
  'warmupSteps',
  'minLearningRateRatio',
  'decaySteps',
  'polynomialPower',
] as const satisfies readonly (keyof TrainConfig)[];
type Rates = Pick<TrainConfig, (typeof rateOptions)[number]>;

/** The options with the number of steps over which they are spread. */
export type PlannedRates = Rates & { totalSteps: number };

/**
 * A schedule after its warm-up, as a share of the peak. @param done steps since the warm-up @param length steps without
 * it
 */
type Curve = (config: Rates, done: number, length: number) => number;

/** Where transformers' inverse_sqrt begins to fall when there is no warm-up. */
const timescaleWithoutWarmup = 10_000;
/** transformers' lr_end of the polynomial schedule. */
const polynomialEnd = 1e-7;

const curves: Record<Schedule, Curve> = {
  constant: () => 1,
  linear: (_config, done, length) => Math.max(0, 1 - done / length),
  cosine: (_config, done, length) => halfCosine(done / length),
  cosine_with_min_lr: (config, done, length) =>
    between(config.minLearningRateRatio ?? 0.1, halfCosine(done / length)),
  polynomial: (config, done, length) =>
    between(polynomialEndRatio(config), Math.max(0, 1 - done / length) ** config.polynomialPower),
  inverse_sqrt: ({ warmupSteps }, done) => 1 / Math.sqrt(1 + done / (warmupSteps || timescaleWithoutWarmup)),
  warmup_stable_decay: (config, done, length) => {
    const decay = decayStepsOf(config, config.warmupSteps + length);
    const decayed = (done - (length - decay)) / decay;
    return between(config.minLearningRateRatio ?? 0, halfCosine(Math.max(0, decayed)));
  },
};

/**
 * Learning rate of an optimizer step, as transformers' get_scheduler gives it: a linear warm-up, then the schedule's
 * curve. The first step after the warm-up has the peak rate; the end would be reached one step after the last.
 *
 * @param step 1-based
 */
export function learningRate(config: Rates, step: number, totalSteps: number): number {
  const { learningRate: peak, schedule, warmupSteps } = config;
  const done = step - 1;
  if (done < warmupSteps) {
    // This schedule warms up from its lowest rate, the others from 0.
    const lowest = schedule === 'warmup_stable_decay' ? (config.minLearningRateRatio ?? 0) : 0;
    return peak * between(lowest, done / warmupSteps);
  }
  return peak * curves[schedule](config, done - warmupSteps, Math.max(1, totalSteps - warmupSteps));
}

/**
 * What becomes of the learning rate where a run goes on after `step` with another schedule or length, in words; null
 * where it goes on as it was planned.
 */
export function scheduleChange(before: PlannedRates, now: PlannedRates, step: number): string | null {
  const end = Math.min(before.totalSteps, now.totalSteps);
  const differs = Array.from({ length: Math.max(0, end - step) }, (_, i) => step + 1 + i).some(
    (at) => learningRate(before, at, before.totalSteps) !== learningRate(now, at, now.totalSteps),
  );
  const next = shownRate(learningRate(now, step + 1, now.totalSteps));
  const last = shownRate(learningRate(before, Math.max(1, step), before.totalSteps));
  // A longer run whose rate never falls goes on as before.
  if (!differs && (step < before.totalSteps || next === last)) return null;
  const planned =
    step < before.totalSteps
      ? `${shownRate(learningRate(before, step + 1, before.totalSteps))} were planned`
      : `the run was to end`;
  return `The schedule changed: it is ${described(now)}, and was ${described(before)}. The learning rate was ${last} at step ${step} and is ${next} at step ${step + 1}, where ${planned}.`;
}

function described({ schedule, warmupSteps, totalSteps }: PlannedRates): string {
  const warmup = warmupSteps === 0 ? '' : ` after a warm-up of ${steps(warmupSteps)}`;
  return `${schedule} over ${steps(totalSteps)}${warmup}`;
}

function shownRate(rate: number): string {
  return rate.toPrecision(3);
}

/**
 * Refuses a schedule that does not fit the run.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function checkSchedule(config: Rates, totalSteps: number): void {
  const { schedule, warmupSteps } = config;
  const decay = decayStepsOf(config, totalSteps);
  if (warmupSteps > 0 && warmupSteps >= totalSteps)
    throw impossible(
      `A warm-up of ${steps(warmupSteps)} is as long as the run, which has ${steps(totalSteps)}: its learning rate would never reach ${config.learningRate}.`,
      `Set the warm-up steps to ${totalSteps - 1} or less (a tenth, ${Math.floor(totalSteps / 10)}, is usual), or train for longer.`,
      ['warmupSteps'],
    );
  if (schedule === 'warmup_stable_decay' && warmupSteps + decay > totalSteps)
    throw impossible(
      `The schedule warmup_stable_decay needs ${warmupSteps} warm-up and ${decay} decay steps, but the run has ${totalSteps}.`,
      `Set the decay steps to ${totalSteps - warmupSteps} or less.`,
      ['decaySteps'],
    );
  if (schedule === 'polynomial' && polynomialEndRatio(config) > 1)
    throw impossible(
      `The schedule polynomial falls to a rate of ${polynomialEnd}, which is above the learning rate ${config.learningRate}.`,
      'Raise the learning rate, or set a lowest rate as a share of it (0, say).',
      ['minLearningRateRatio'],
    );
}

function steps(count: number): string {
  return count === 1 ? '1 step' : `${count} steps`;
}

function decayStepsOf({ decaySteps }: Rates, totalSteps: number): number {
  return decaySteps ?? Math.max(1, Math.floor(totalSteps / 10));
}

function polynomialEndRatio({ minLearningRateRatio, learningRate: peak }: Rates): number {
  return minLearningRateRatio ?? polynomialEnd / peak;
}

/** From 1 to 0 while `progress` goes from 0 to 1. */
function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)));
}

/** lowest for share 0, 1 for share 1 */
function between(lowest: number, share: number): number {
  return lowest + (1 - lowest) * share;
}
