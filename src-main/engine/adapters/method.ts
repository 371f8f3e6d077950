import type { AdapterConfig } from '../../contract/training.ts';
import type { Tensor } from '../graph/graph.ts';
import type { Terms } from '../model/attention.ts';

/** Size of a linear module: W is [dOut, dIn]. */
export interface LinearShape {
  dIn: number;
  dOut: number;
}

/** How a parameter starts. Random ones come from the run's seed. */
export type Initial =
  | { kind: 'zeros' }
  /** Uniform in [-bound, bound). */
  | { kind: 'uniform'; bound: number }
  /** The L2 norm of each row of W. */
  | { kind: 'rowNorms' }
  /** Row indices of W, from adapters/pivots. */
  | { kind: 'pivots' };

/** One tensor that an adapter keeps for a module. */
export interface ParameterSpec {
  /** Suffix of the key in adapter_model.safetensors, for example `lora_A.weight`. */
  suffix: string;
  shape: readonly number[];
  dtype: 'f32' | 'i32';
  trainable: boolean;
  initial: Initial;
}

/** What a method sees of one module in the forward pass. */
export interface AdapterCall {
  config: AdapterConfig;
  shape: LinearShape;
  /** The module's input [rows, dIn], compute type. */
  x: Tensor;
  /** W x, without bias [rows, dOut]; gradients flow through it to x. */
  base: Tensor;
  /** W [dOut, dIn], frozen, compute type. */
  weight: Tensor;
  /** A parameter's value; f32 ones are cast to the compute type. */
  parameter(suffix: string): Tensor;
  /** Dropout with the run's probability; the identity outside training. */
  dropout(value: Tensor): Tensor;
}

/** An adapter method: one file beside this one. */
export interface AdapterMethod {
  /** The parameters of one module, in a stable order. */
  parameters(shape: LinearShape, config: AdapterConfig): ParameterSpec[];
  /** The adapted output without bias, as addends of [rows, dOut]. */
  apply(call: AdapterCall): Terms;
  /** Frozen numbers per module beyond the base weight, as the paper counts them (method.md). */
  frozenExtra(shape: LinearShape, config: AdapterConfig): number;
}

/** Bound of PyTorch's kaiming_uniform_(a = sqrt 5) for a matrix with `fanIn` columns: 1 / sqrt(fanIn). */
export function kaimingBound(fanIn: number): number {
  return 1 / Math.sqrt(fanIn);
}
