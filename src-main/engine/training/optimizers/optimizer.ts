import type { Tensor } from '../../graph/graph.ts';
import { multiply } from '../../graph/ops/elementwise.ts';
import type { Variable } from '../../graph/variables.ts';

/** An optimizer: one file beside this one for each. It lives in the training graph; the host only feeds it scalars. */
export interface Optimizer {
  /**
   * What each step is fed: f32 scalars by name, always the same names.
   * @param learningRate of the step's place in the schedule
   * @param update how many updates there were, this one included; skipped steps are none
   */
  scalars(learningRate: number, update: number): Record<string, number>;
  /**
   * Declares the state of one trainable variable.
   * @param rateFactor the variable's learning rate as a multiple of the step's
   */
  attach(variable: Variable, rateFactor: number): ParameterUpdate;
}

/** A gradient in its variable's shape, f32, before clipping, and the scalar by which it is clipped; null: by none. */
export interface Gradient {
  raw: Tensor;
  factor: Tensor | null;
}

/** For optimizers that take the product as a tensor of its own. */
export function clipped({ raw, factor }: Gradient): Tensor {
  return factor ? multiply(raw, factor) : raw;
}

/** An optimizer's part for one variable. */
export interface ParameterUpdate {
  /** All it remembers between steps, f32 or u8: zero at the start, and kept in checkpoints by the variables' names. */
  state: readonly Variable[];
  /**
   * Adds one update to the current body.
   * @param scalars those of `Optimizer.scalars`
   * @returns names of the nodes that must have run
   */
  apply(gradient: Gradient, scalars: Readonly<Record<string, Tensor>>): readonly string[];
  /**
   * The same as a pure function, for updates of many variables in one.
   * @param values the variable's, then those of `state`
   * @returns what they become
   */
  next(
    values: readonly Tensor[],
    gradient: Gradient,
    scalars: Readonly<Record<string, Tensor>>,
  ): readonly Tensor[];
}
