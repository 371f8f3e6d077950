import type { TrainConfig } from '../../../contract/training.ts';
import type { Tensor } from '../../graph/graph.ts';
import { add, divide, multiply, scale, sqrt, square, subtract } from '../../graph/ops/elementwise.ts';
import {
  applyAdam,
  assignVariable,
  createVariable,
  readVariable,
  type Variable,
} from '../../graph/variables.ts';
import { clipped, type Optimizer } from './optimizer.ts';

export type AdamConfig = Pick<TrainConfig, 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'>;

/** Scalars of one AdamW step. */
export type AdamScalars<T> = Record<'learning_rate' | 'corrected_rate' | 'corrected_epsilon', T>;

/**
 * Adam's bias corrections of update t, in double precision on the host: `corrected_rate` = lr sqrt(1 - beta2^t) / (1 -
 * beta1^t), `corrected_epsilon` = epsilon sqrt(1 - beta2^t). TensorFlow's kernel has no bias correction of epsilon;
 * with both corrected like this its update equals torch.optim.AdamW's m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) +
 * epsilon).
 */
export function adamScalars(
  config: Pick<AdamConfig, 'beta1' | 'beta2' | 'epsilon'>,
  learningRate: number,
  update: number,
): AdamScalars<number> {
  const second = Math.sqrt(1 - config.beta2 ** update);
  return {
    learning_rate: learningRate,
    corrected_rate: (learningRate * second) / (1 - config.beta1 ** update),
    corrected_epsilon: config.epsilon * second,
  };
}

/**
 * AdamW (Loshchilov and Hutter 2019): decoupled decay w *= 1 - lr weightDecay, then Adam with moments m, v in f32.
 * The order and the bias corrections are torch.optim.AdamW's.
 */
export function adamW(config: AdamConfig): Optimizer {
  return {
    scalars: (learningRate, update) => adamScalars(config, learningRate, update),
    attach(variable, rateFactor) {
      const { graph, name, shape } = variable;
      const first = createVariable(graph, `${name}.moment_1`, shape, 'f32');
      const second = createVariable(graph, `${name}.moment_2`, shape, 'f32');
      return {
        state: [first, second],
        apply(gradient, scalars) {
          const rates = scalars as AdamScalars<Tensor>;
          const decayed = decayWeights(variable, scale(rates.learning_rate, rateFactor), config.weightDecay);
          const zero = graph.constant(0);
          const applied = graph.after(decayed, () =>
            applyAdam(
              variable,
              { first, second },
              {
                // The corrections are already inside rate and epsilon.
                beta1Power: zero,
                beta2Power: zero,
                learningRate: scale(rates.corrected_rate, rateFactor),
                beta1: graph.constant(config.beta1),
                beta2: graph.constant(config.beta2),
                epsilon: rates.corrected_epsilon,
              },
              clipped(gradient),
            ),
          );
          return [applied];
        },
        next([weights, m, v], given, scalars) {
          const rates = scalars as AdamScalars<Tensor>;
          const gradient = clipped(given);
          const first = average(m!, gradient, config.beta1);
          const second = average(v!, square(gradient), config.beta2);
          const direction = divide(first, add(sqrt(second), rates.corrected_epsilon));
          const kept = multiply(weights!, keepOf(rates, rateFactor, config));
          const moved = subtract(kept, multiply(direction, scale(rates.corrected_rate, rateFactor)));
          return [moved, first, second];
        },
      };
    },
  };
}

/** beta old + (1 - beta) value */
export function average(old: Tensor, value: Tensor, beta: number): Tensor {
  return add(scale(old, beta), scale(value, 1 - beta));
}

/** What decoupled decay leaves of the weights in a step, scalar: 1 - lr weightDecay. */
export function keepOf(
  { learning_rate }: AdamScalars<Tensor>,
  rateFactor: number,
  { weightDecay }: Pick<AdamConfig, 'weightDecay'>,
): Tensor {
  return subtract(learning_rate.graph.constant(1), scale(learning_rate, rateFactor * weightDecay));
}

/** Decoupled decay w *= 1 - lr weightDecay. @returns the names of its nodes: none without decay */
export function decayWeights(variable: Variable, learningRate: Tensor, weightDecay: number): string[] {
  if (weightDecay === 0) return [];
  const keep = subtract(variable.graph.constant(1), scale(learningRate, weightDecay));
  return [assignVariable(variable, multiply(readVariable(variable), keep))];
}
