import type { TrainConfig } from '../../../contract/training.ts';
import type { Tensor } from '../../graph/graph.ts';
import { add, multiply, scale, subtract } from '../../graph/ops/elementwise.ts';
import { assignSubVariable, assignVariable, createVariable, readVariable } from '../../graph/variables.ts';
import { clipped, type Gradient, type Optimizer } from './optimizer.ts';

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
      const directionOf = (given: Gradient, weights: Tensor | null, momentumOf: Tensor | null) => {
        const gradient = clipped(given);
        const decayed = weights ? add(gradient, scale(weights, weightDecay)) : gradient;
        return momentumOf ? add(scale(momentumOf, momentum), decayed) : decayed;
      };
      const rateOf = (scalars: Readonly<Record<string, Tensor>>) =>
        scale(scalars['learning_rate']!, rateFactor);
      return {
        state: buffer ? [buffer] : [],
        apply(given, scalars) {
          const weights = weightDecay === 0 ? null : readVariable(variable);
          const direction = directionOf(given, weights, buffer && readVariable(buffer));
          const rate = rateOf(scalars);
          return [
            ...(buffer ? [assignVariable(buffer, direction)] : []),
            assignSubVariable(variable, multiply(direction, rate)),
          ];
        },
        next([weights, momentumOf], given, scalars) {
          const direction = directionOf(given, weightDecay === 0 ? null : weights!, momentumOf ?? null);
          const moved = subtract(weights!, multiply(direction, rateOf(scalars)));
          return momentumOf ? [moved, direction] : [moved];
        },
      };
    },
  };
}
