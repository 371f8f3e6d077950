import type { OptimizerName, TrainConfig } from '../../contract/training.ts';
import { elementCount } from '../graph/dtype.ts';
import { beforeCasting, compiledCall } from '../graph/fused.ts';
import { doIf } from '../graph/functions.ts';
import type { Graph, Tensor } from '../graph/graph.ts';
import {
  add,
  addMany,
  cast,
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
import { moveTogether } from './optimizers/moveTogether.ts';
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

/** What the optimizer of a run changes. */
export interface TrainedParameter {
  variable: Variable;
  /** Its learning rate as a multiple of the step's. */
  rateFactor: number;
  /** On a card those of equal name are moved by one function; absent: each by itself. */
  group?: string | undefined;
}

/**
 * A group is cut into parts of so many numbers at most: moving several at once needs room for what all of them become.
 */
const mostTogether = 4 * 2 ** 20;

/** The update of a run's parameters from their gradients: their norm, clipping, and whether it was applied. */
export function parameterUpdate(
  graph: Graph,
  optimizer: Optimizer,
  config: Pick<TrainConfig, 'clipNorm' | 'learningRate'>,
  parameters: readonly TrainedParameter[],
): ParameterUpdate {
  const names = Object.keys(optimizer.scalars(config.learningRate, 1));
  const scalars = Object.fromEntries(names.map((name) => [name, graph.placeholder(name, [], 'f32')]));
  const members = parameters.map(({ variable, rateFactor, group }) => {
    const update = optimizer.attach(variable, rateFactor);
    return { variable, rateFactor, group, update };
  });
  const groups = together(graph, members);
  const { clipNorm } = config;
  return {
    state: members.flatMap(({ update }) => update.state),
    scalars,
    update(whole, loss) {
      const isGrouped = new Set(groups.filter(({ length }) => length > 1).flat());
      const gradients = whole.map((gradient, i) => (isGrouped.has(i) ? beforeCasting(gradient) : gradient));
      const gradNorm = globalNorm(groups.map((group) => group.map((i) => gradients[i]!)));
      const isSound = logicalAnd(isFinite(gradNorm), isFinite(loss));
      const factor = clipNorm === null ? graph.constant(1) : clipFactor(gradNorm, clipNorm);
      const given = [...gradients, factor, ...Object.values(scalars)];
      const applied = doIf(graph, 'update', isSound, given, (inputs) => {
        const [clip, ...values] = inputs.slice(gradients.length);
        const fed = Object.fromEntries(names.map((name, i) => [name, values[i]!]));
        const done: (readonly string[])[] = [];
        const gradientOf = (i: number) => ({ raw: inputs[i]!, factor: clipNorm === null ? null : clip! });
        for (const [at, group] of groups.entries())
          done.push(
            graph.after(done[at - updatesAtATime] ?? [], () =>
              group.length === 1
                ? members[group[0]!]!.update.apply(gradientOf(group[0]!), fed)
                : moveTogether(
                    group.map((i) => members[i]!),
                    group.map(gradientOf),
                    fed,
                  ),
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
function globalNorm(groups: readonly (readonly Tensor[])[]): Tensor {
  const halves = groups.map((gradients) => {
    const sumOf = (given: readonly Tensor[]) =>
      addMany(given.map((each) => halfSquareSum(cast(each, 'f32'))));
    if (gradients.length === 1) return sumOf(gradients);
    return compiledCall('half_square_sum', gradients, (given) => [sumOf(given)])?.[0] ?? sumOf(gradients);
  });
  return sqrt(scale(addMany(halves), 2));
}

/**
 * Which parameters are moved by one function: their places in the list. On a processor each by itself, also in 8 bits:
 * 14 matrices of 16 x 1024 at a time took 10.5 ns of processor time a number instead of 11.5, and took 4 s longer to
 * compile.
 */
function together(graph: Graph, parameters: readonly TrainedParameter[]): number[][] {
  const groups: number[][] = [];
  const open = new Map<string, { places: number[]; numbers: number }>();
  const isOnCard = graph.device === 'gpu' && graph.fusion;
  for (const [i, { variable, group }] of parameters.entries()) {
    const numbers = elementCount(variable.shape);
    const known = group === undefined ? undefined : open.get(group);
    if (known && known.numbers + numbers <= mostTogether) {
      known.places.push(i);
      known.numbers += numbers;
      continue;
    }
    const places = [i];
    groups.push(places);
    if (group !== undefined && isOnCard) open.set(group, { places, numbers });
  }
  return groups;
}

/** Factor of torch's clip_grad_norm_: min(1, clipNorm / (norm + 1e-6)). */
function clipFactor(norm: Tensor, clipNorm: number): Tensor {
  const limit = scalarLike(norm, clipNorm);
  return minimum(divide(limit, add(norm, scalarLike(norm, 1e-6))), scalarLike(norm, 1));
}
