import type { TrainConfig } from '../../contract/training.ts';

/**
 * Learning rate of an optimiser step, as transformers' schedulers compute it: linear warm-up from 0, then constant, linear decay
 * to 0 or a half cosine to 0. The first step after warm-up has the peak rate.
 *
 * @param step 1-based
 */
export function learningRate(
  config: Pick<TrainConfig, 'learningRate' | 'schedule' | 'warmupSteps'>,
  step: number,
  totalSteps: number,
): number {
  const { learningRate: peak, schedule, warmupSteps } = config;
  const done = step - 1;
  if (done < warmupSteps) return (peak * done) / Math.max(1, warmupSteps);
  const progress = (done - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
  switch (schedule) {
    case 'constant':
      return peak;
    case 'linear':
      return peak * Math.max(0, 1 - progress);
    case 'cosine':
      return peak * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, progress)));
    default:
      throw new Error(`unknown schedule ${String(schedule satisfies never)}`);
  }
}
