import type { OptimizerName, TrainConfig } from '../../contract/training.ts';
import { doIf } from '../graph/functions.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import {
  add,
  addMany,
  divide,
  isFinite,
  logicalAnd,
  minimum,
  scalarLike,
  scale,
  sqrt,
} from '../graph/ops/elementwise.ts';
import { halfSquareSum } from '../graph/ops/reduce.ts';
import type { Tensors } from '../graph/session.ts';
import type { Variable } from '../graph/variables.ts';
import { adamW } from './optimizers/adamW.ts';
import { adamW8bit } from './optimizers/adamW8bit.ts';
import type { Optimizer } from './optimizers/optimizer.ts';
import { sgd } from './optimizers/sgd.ts';

const optimizers: Record<OptimizerName, (config: TrainConfig) => Optimizer> = {
  adamw: adamW,
  adamw8bit: adamW8bit,
  sgd,
};

/** The optimizer of a run. */
export function chooseOptimizer(config: TrainConfig): Optimizer {
  return optimizers[config.optimizer](config);
}

/**
 * The optimizer updates so many variables at the same time, the others after them: it may hold several f32 copies of a
 * variable's size while it works on it.
 */
const updatesAtATime = 4;

/** The part of a training graph that changes parameters. */
export interface ParameterUpdate {
  /** The optimizer's state of all parameters, f32 or u8. */
  state: readonly Variable[];
  /** The optimizer's scalars, fed at each step. */
  scalars: Tensors;
  /**
   * Adds one update: the gradients are clipped to the norm of the configuration, and the optimizer moves the
   * parameters. Where loss or norm are not finite, neither parameters nor state change.
   * @param gradients f32, one for each parameter
   * @returns `gradNorm` before clipping, and `applied`, 1 or 0; both f32 scalars. Fetching `applied` makes it happen
   */
  update(gradients: readonly Tensor[], loss: Tensor): { gradNorm: Tensor; applied: Tensor };
}

/** @param parameters each with its learning rate as a multiple of the step's */
export function parameterUpdate(
  graph: Graph,
  optimizer: Optimizer,
  config: Pick<TrainConfig, 'clipNorm' | 'learningRate'>,
  parameters: readonly { variable: Variable; rateFactor: number }[],
): ParameterUpdate {
  const names = Object.keys(optimizer.scalars(config.learningRate, 1));
  const scalars = Object.fromEntries(names.map((name) => [name, graph.placeholder(name, [], 'f32')]));
  const updates = parameters.map(({ variable, rateFactor }) => optimizer.attach(variable, rateFactor));
  const { clipNorm } = config;
  return {
    state: updates.flatMap(({ state }) => state),
    scalars,
    update(gradients, loss) {
      const gradNorm = globalNorm(gradients);
      const isSound = logicalAnd(isFinite(gradNorm), isFinite(loss));
      const factor = clipNorm === null ? graph.constant(1) : clipFactor(gradNorm, clipNorm);
      const given = [...gradients, factor, ...Object.values(scalars)];
      const applied = doIf(graph, 'update', isSound, given, (inputs) => {
        const [clip, ...values] = inputs.slice(gradients.length);
        const fed = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
        const done: (readonly string[])[] = [];
        for (const [i, { apply }] of updates.entries())
          done.push(
            graph.after(done[i - updatesAtATime] ?? [], () =>
              apply({ raw: inputs[i]!, factor: clipNorm === null ? null : clip! }, fed),
            ),
          );
        return done.flat();
      });
      return { gradNorm, applied };
    },
  };
}

/**
 * L2 norm over all gradients, f32 scalar. Infinite or NaN where any of them is, or where the sum of squares overflows.
 */
function globalNorm(gradients: readonly Tensor[]): Tensor {
  return sqrt(scale(addMany(gradients.map(halfSquareSum)), 2));
}

/** Factor of torch's clip_grad_norm_: min(1, clipNorm / (norm + 1e-6)). */
function clipFactor(norm: Tensor, clipNorm: number): Tensor {
  const limit = scalarLike(norm, clipNorm);
  return minimum(divide(limit, add(norm, scalarLike(norm, 1e-6))), scalarLike(norm, 1));
}
