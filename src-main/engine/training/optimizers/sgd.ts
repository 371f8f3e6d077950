import type { TrainConfig } from '../../../contract/training.ts';
import { add, multiply, scale } from '../../graph/ops/elementwise.ts';
import { assignSubVariable, assignVariable, createVariable, readVariable } from '../../graph/variables.ts';
import { clipped, type Optimizer } from './optimizer.ts';

/**
 * Stochastic gradient descent as torch.optim.SGD (dampening 0, no Nesterov): coupled decay g += weightDecay w, momentum
 * b = momentum b + g, w -= lr b. The first step has b = g, because b starts at zero. Without momentum it has no state.
 */
export function sgd(config: Pick<TrainConfig, 'momentum' | 'weightDecay'>): Optimizer {
  const { momentum, weightDecay } = config;
  return {
    scalars: (learningRate) => ({ learning_rate: learningRate }),
    attach(variable, rateFactor) {
      const { graph, name, shape } = variable;
      const buffer = momentum === 0 ? null : createVariable(graph, `${name}.momentum`, shape, 'f32');
      return {
        state: buffer ? [buffer] : [],
        apply(given, scalars) {
          const gradient = clipped(given);
          const decayed =
            weightDecay === 0 ? gradient : add(gradient, scale(readVariable(variable), weightDecay));
          const direction = buffer ? add(scale(readVariable(buffer), momentum), decayed) : decayed;
          const rate = scale(scalars['learning_rate']!, rateFactor);
          return [
            ...(buffer ? [assignVariable(buffer, direction)] : []),
            assignSubVariable(variable, multiply(direction, rate)),
          ];
        },
      };
    },
  };
}
