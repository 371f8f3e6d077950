import type { OptimizerName, TrainConfig } from '../../../contract/training.ts';
import { adamW } from './adamW.ts';
import { adamW8bit } from './adamW8bit.ts';
import type { Optimizer } from './optimizer.ts';
import { sgd } from './sgd.ts';

const optimizers: Record<OptimizerName, (config: TrainConfig) => Optimizer> = {
  adamw: adamW,
  adamw8bit: adamW8bit,
  sgd,
};

/** The optimizer of a run. */
export function chooseOptimizer(config: TrainConfig): Optimizer {
  return optimizers[config.optimizer](config);
}
