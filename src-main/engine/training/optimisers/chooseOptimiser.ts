import type { Optimizer, TrainConfig } from '../../../contract/training.ts';
import { adamW } from './adamW.ts';
import { adamW8bit } from './adamW8bit.ts';
import type { Optimiser } from './optimiser.ts';
import { sgd } from './sgd.ts';

const optimisers: Record<Optimizer, (config: TrainConfig) => Optimiser> = {
  adamw: adamW,
  adamw8bit: adamW8bit,
  sgd,
};

/** The optimiser of a run. */
export function chooseOptimiser(config: TrainConfig): Optimiser {
  return optimisers[config.optimizer](config);
}
