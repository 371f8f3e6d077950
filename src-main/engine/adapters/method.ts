import type { LinearShape } from '../../budget/methods/method.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import type { Tensor } from '../graph/graph.ts';
import type { Terms } from '../model/attention.ts';

/** What a method sees of one module in the forward pass. */
export interface AdapterCall {
  /** The options as they hold for this module (its own rank and alpha). */
  config: AdapterConfig;
  shape: LinearShape;
  /** The module's input [rows, dIn], compute type. */
  x: Tensor;
  /** W x, without bias [rows, dOut]; gradients flow through it to x. */
  base: Tensor;
  /** W [dOut, dIn], frozen, compute type. */
  weight: Tensor;
  /** With a method that reads tasks: 1 at each row's task, else 0, [rows, tasks + 1], compute type. */
  taskSelection: Tensor | null;
  /** A parameter's value, the module's own or one that all modules share; f32 ones are cast to the compute type. */
  parameter(suffix: string): Tensor;
  /** Dropout with the run's probability; the identity outside training. */
  dropout(value: Tensor): Tensor;
}

/**
 * The graph of a method: the adapted output without bias, as addends of [rows, dOut]. One file beside this one, with the formula;
 * the parameters are declared in the file of the same name in budget/methods.
 */
export type AdapterMethod = (call: AdapterCall) => Terms;

/** Factor of the update: alpha / r, or alpha / sqrt(r) (rsLoRA, Kalajdzievski 2023; PEFT's use_rslora). */
export function updateScale({ alpha, rank, rankStabilized }: AdapterConfig): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}
