import type { TrainConfig } from '../../contract/training.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import {
  add,
  addAll,
  divide,
  minimum,
  multiply,
  scalarLike,
  sqrt,
  square,
  subtract,
} from '../graph/ops/elementwise.ts';
import { sum } from '../graph/ops/reduce.ts';
import {
  applyAdam,
  assignVariable,
  createVariable,
  readVariable,
  type Variable,
} from '../graph/variables.ts';

/** Scalars of one optimiser step, fed at each call. */
export interface StepRates {
  learningRate: number;
  /** learningRate with Adam's bias corrections: lr sqrt(1 - beta2^t) / (1 - beta1^t). */
  correctedRate: number;
  /** epsilon sqrt(1 - beta2^t). */
  correctedEpsilon: number;
}

/**
 * Adam's bias corrections of step t, in double precision on the host. TensorFlow's kernel has no bias correction of epsilon;
 * with rate and epsilon corrected like this its update equals torch.optim.AdamW's
 * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon).
 */
export function stepRates(
  config: Pick<TrainConfig, 'beta1' | 'beta2' | 'epsilon'>,
  learningRate: number,
  step: number,
): StepRates {
  const second = Math.sqrt(1 - config.beta2 ** step);
  return {
    learningRate,
    correctedRate: (learningRate * second) / (1 - config.beta1 ** step),
    correctedEpsilon: config.epsilon * second,
  };
}

/** L2 norm over all gradients, f32 scalar. */
export function globalNorm(gradients: readonly Tensor[]): Tensor {
  const squares = gradients.map((gradient) => sum(square(gradient), [...gradient.shape.keys()]));
  return sqrt(addAll(squares));
}

/** Factor of torch's clip_grad_norm_: min(1, clipNorm / (norm + 1e-6)). */
export function clipFactor(norm: Tensor, clipNorm: number): Tensor {
  const limit = scalarLike(norm, clipNorm);
  return minimum(divide(limit, add(norm, scalarLike(norm, 1e-6))), scalarLike(norm, 1));
}

export interface Moments {
  first: Variable;
  second: Variable;
}

/** Declares the two moments of a trainable variable, in f32. They start at zero. */
export function createMoments(graph: Graph, variable: Variable): Moments {
  return {
    first: createVariable(graph, `${variable.name}.moment_1`, variable.shape, 'f32'),
    second: createVariable(graph, `${variable.name}.moment_2`, variable.shape, 'f32'),
  };
}

/**
 * AdamW (Loshchilov and Hutter 2019) on one variable: decoupled decay w *= 1 - lr weightDecay, then Adam.
 * @param rates placeholders of StepRates
 * @returns the name of the last node, for Graph.after
 */
export function applyAdamW(
  variable: Variable,
  moments: Moments,
  gradient: Tensor,
  rates: { learningRate: Tensor; correctedRate: Tensor; correctedEpsilon: Tensor },
  config: Pick<TrainConfig, 'beta1' | 'beta2' | 'weightDecay'>,
): string {
  const graph = variable.graph;
  const decayed =
    config.weightDecay === 0
      ? []
      : graph.after([gradient], () => {
          const keep = subtract(
            graph.constant(1),
            multiply(rates.learningRate, graph.constant(config.weightDecay)),
          );
          return [assignVariable(variable, multiply(readVariable(variable), keep))];
        });
  const zero = graph.constant(0);
  return graph.after(decayed, () =>
    applyAdam(
      variable,
      moments,
      {
        // The corrections are already inside rate and epsilon.
        beta1Power: zero,
        beta2Power: zero,
        learningRate: rates.correctedRate,
        beta1: graph.constant(config.beta1),
        beta2: graph.constant(config.beta2),
        epsilon: rates.correctedEpsilon,
      },
      gradient,
    ),
  );
}
