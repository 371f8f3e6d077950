import { StudioError } from '../contract/errors.ts';
import type { AdapterConfig, ConfigPath, MatrixStrategy, TargetModule } from '../contract/training.ts';
import type { MethodOps } from './ops.ts';

/** Size of a linear module: W is [dOut, dIn]. */
export interface LinearSize {
  dIn: number;
  dOut: number;
}

/** How a parameter starts. Random ones come from the run's seed. */
export type Initial =
  | { kind: 'zeros' }
  /** Uniform in [-bound, bound). */
  | { kind: 'uniform'; bound: number }
  /** Normal with mean 0. */
  | { kind: 'normal'; deviation: number }
  /** The L2 norm of each row of W. */
  | { kind: 'rowNorms' }
  /** Row indices of W, chosen as the option `pivots` says (engine/adapters/pivots). */
  | { kind: 'pivots' }
  /** Frozen bases that are no rows of W, as the option `pivots` says (engine/adapters/pivots/bases.ts). */
  | { kind: 'bases'; strategy: MatrixStrategy; clusters: number };

/** One tensor that an adapter keeps. */
export interface ParameterSpec {
  /** Suffix of the key in adapter_model.safetensors, for example `lora_A.weight`. */
  suffix: string;
  shape: readonly number[];
  dtype: 'f32' | 'i32';
  trainable: boolean;
  initial: Initial;
  /**
   * LoRA+ (Hayou et al. 2024) trains group B at a higher rate: up-projections, and DoRA's magnitudes, which PEFT's
   * create_loraplus_optimizer puts there too. Absent: group A.
   */
  rateGroup?: 'B';
}

/**
 * An adapter method: what it computes, what it stores and how files name it. The parameter counts follow from the
 * shapes.
 *
 * One file each, pure: the page counts and checks with it as a person types, and the engine builds its graph from
 * `forward`. Its docstring has the formula, the shapes, the starts, the size and where it was published.
 */
export interface AdapterMethod {
  peftType: string;
  /** Keys of adapter_config.json with fixed values; they tell methods of the same peft_type apart. */
  fileFlags: Readonly<Record<string, boolean>>;
  /** Keys of adapter_config.json that hold options of the method. */
  fileKeys: Readonly<Record<string, keyof AdapterConfig>>;
  /** The options as its files tell them: those that change nothing beside others are off. */
  asStored(adapter: AdapterConfig): AdapterConfig;
  /** Whether its tensors refer to rows of the base weights, so that the file names their hash. */
  refersToBase: boolean;
  /** Suffixes of tensors that files may hold beside the parameters; they are not read. */
  unreadSuffixes: readonly string[];
  /** Whether its graph needs to know the task of every row. */
  readsTasks(adapter: AdapterConfig): boolean;
  /**
   * The parameters of one adapted module, in a stable order. Their number, as that of frozenExtra, is affine in the
   * rank: the solver bisects.
   */
  parameters(shape: LinearSize, adapter: AdapterConfig): ParameterSpec[];
  /** Parameters that all adapted modules share; their keys have the path `model`. */
  sharedParameters(adapter: AdapterConfig): ParameterSpec[];
  /** Frozen numbers per module beyond the base weight, as the paper counts them (method.md). */
  frozenExtra(shape: LinearSize, adapter: AdapterConfig): number;
  /** The rank is a multiple of it. */
  rankStep(adapter: RanklessConfig): number;
  /** Largest rank that makes sense for a module; below rankStep where there is none. */
  largestRank(shape: LinearSize, adapter: RanklessConfig): number;
  /**
   * What is possible at rank `rankStep` is so at every multiple of it up to `largestRank`.
   * @throws StudioError config_invalid with the nearest possible values where the method cannot be built on the module
   */
  check(place: CheckedModule, adapter: AdapterConfig): void;
  /** Matrix products that an adapted module has beyond W x and the gradient W^T dy of a frozen module. */
  extraProducts(shape: LinearSize, adapter: AdapterConfig): ExtraProducts;
  /** The greatest ranks that the update of one module can have. */
  rankBound(shape: LinearSize, adapter: AdapterConfig): RankBound;
  /** The graph: the adapted output of a module without bias, as addends of [rows, dOut]. */
  forward<T>(ops: MethodOps<T>, call: AdapterCall<T>): readonly T[];
  /** How it divides its work among experts; absent: it has none. */
  routing?: Routing;
}

/** The experts (clusters, heads) of a method that weighs them for every token. */
export interface Routing {
  experts(adapter: AdapterConfig): number;
  /** The weights with which `forward` sums the experts, f32 [rows, experts], without dropout. */
  weights<T>(ops: MethodOps<T>, call: AdapterCall<T>): T;
  /** Of each expert of a trained module the numbers by which it can be likened to others; null: it has none. */
  compared(adapter: AdapterConfig, read: ReadTrained): Float32Array[] | null;
  /**
   * The LoRA that a trained module is under fixed weights of its experts [experts], its scale in B; absent: it is none.
   * @param rows gives rows of W [n, dIn]
   */
  asLora?(
    adapter: AdapterConfig,
    read: ReadTrained,
    weights: readonly number[],
    rows: (indices: Int32Array) => Float32Array,
  ): LowRank;
  /** The rows of W that each expert reads, of `outputs`; absent or null: it reads none. */
  pivots?(adapter: AdapterConfig, read: ReadTrained): { outputs: number; clusters: number[][] } | null;
}

/** An update B A of one module. */
export interface LowRank {
  /** A [rank, dIn]. */
  down: Float32Array;
  /** B [dOut, rank]. */
  up: Float32Array;
  rank: number;
}

/** A tensor of one trained module by its suffix. */
export type ReadTrained = (suffix: string) => {
  shape: readonly number[];
  /** Its values where the parameter is f32. */
  floats(): Float32Array;
  /** Its values where the parameter is i32. */
  integers(): Int32Array;
};

/**
 * Multiply-adds (one is two FLOPs) of matrix products. Elementwise work, which is small beside them, is not counted.
 */
export interface MultiplyAdds {
  /** For every position. */
  perToken: number;
  /** Once in a pass, however many positions it has. */
  perPass: number;
}

export interface ExtraProducts {
  /** Unmerged, as the studio scores and decodes. */
  inference: MultiplyAdds;
  /** Forward and backward, in a module whose input needs a gradient (all but the first layer's q, k and v). */
  training: MultiplyAdds;
}

/** Bounds on the update D, where D(x) x is what an adapter adds for the input x. */
export interface RankBound {
  /** Greatest rank of the matrix D(x) of one token, its gates fixed; of D itself where nothing is gated. */
  token: number;
  /** Greatest dimension of the span of the rows of D(x) over all x: directions of the input that the update reads. */
  reads: number;
  /**
   * Greatest dimension of the span of the columns of D(x) over all x: directions of the output that the update can
   * reach.
   */
  writes: number;
}

/** The options of an adapter whose rank is still sought. */
export type RanklessConfig = Omit<AdapterConfig, 'rank'>;

/** What a method sees of one module in the forward pass. */
export interface AdapterCall<T> {
  /** The options as they hold for this module (its own rank and alpha). */
  config: AdapterConfig;
  shape: LinearSize;
  /** Positions that are computed together. */
  rows: number;
  /** The module's input [rows, dIn], compute type. */
  x: T;
  /** W x, without bias [rows, dOut]; gradients flow through it to x. */
  base: T;
  /**
   * W [dOut, dIn], frozen, compute type. Where the base is kept in fewer bits it is made for the moment: a gradient
   * that read it would keep a second copy.
   */
  readonly weight: T;
  /** W v without bias, [rows, dIn] -> [rows, dOut]. */
  product(value: T): T;
  /** Rows of W by their numbers, i32 [n] -> [n, dIn], compute type; made once `after` is there. */
  weightRows(numbers: T, after: T): T;
  /** With a method that reads tasks: 1 at each row's task, else 0, [rows, tasks + 1], compute type. */
  taskSelection: T | null;
  /** A parameter's value, the module's own or one that all modules share; f32 ones are cast to the compute type. */
  parameter(suffix: string): T;
  /** Dropout with the run's probability; the identity outside training. */
  dropout(value: T): T;
}

/** A module whose options are checked. */
export interface CheckedModule {
  module: TargetModule;
  shape: LinearSize;
  /** Largest rank that all adapted modules admit. */
  most: number;
  /** The option that sets the module's rank. */
  rankPath: ConfigPath;
}

/** Factor of the update: alpha / r, or alpha / sqrt(r) (rsLoRA, Kalajdzievski 2023; PEFT's use_rslora). */
export function updateScale({ alpha, rank, rankStabilized }: AdapterConfig): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/** sum_i weights_i parts_i. */
export function weightedSumOf(parts: readonly Float32Array[], weights: readonly number[]): Float32Array {
  const sum = new Float32Array(parts[0]!.length);
  parts.forEach((part, i) => {
    for (let j = 0; j < sum.length; j++) sum[j]! += weights[i]! * part[j]!;
  });
  return sum;
}

/** Bound of PyTorch's kaiming_uniform_(a = sqrt 5) for a matrix with `fanIn` columns: 1 / sqrt(fanIn). */
export function kaimingBound(fanIn: number): number {
  return 1 / Math.sqrt(fanIn);
}

/** A down-projection, a router: f32, trained, kaiming-uniform over its columns. */
export function kaimingMatrix(suffix: string, shape: readonly [number, number]): ParameterSpec {
  const initial = { kind: 'uniform', bound: kaimingBound(shape[1]) } as const;
  return { suffix, shape, dtype: 'f32', trainable: true, initial };
}

/** An up-projection: f32, trained, zero, so that a fresh adapter changes nothing. */
export function zeroMatrix(suffix: string, shape: readonly [number, number]): ParameterSpec {
  return { suffix, shape, dtype: 'f32', trainable: true, initial: { kind: 'zeros' }, rateGroup: 'B' };
}

/**
 * Extra products of which each trains its weight and passes a gradient on: forward once, backward twice.
 * @param perToken multiply-adds of the forward pass
 */
export function trainedProducts(perToken: number): ExtraProducts {
  return { inference: { perToken, perPass: 0 }, training: { perToken: 3 * perToken, perPass: 0 } };
}

/** 0, 1, ... count - 1 */
export function each<R>(count: number, make: (index: number) => R): R[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** An array cut into equal parts, which share its memory. */
export function cut<A extends Float32Array | Int32Array>(values: A, count: number): A[] {
  const size = values.length / count;
  return each(count, (i) => values.subarray(i * size, (i + 1) * size) as A);
}

/**
 * A refusal of options that cannot go together, or not on this model.
 * @param option the one that it concerns, where that is one
 */
export function impossible(message: string, remedy: string, option?: ConfigPath): StudioError {
  return new StudioError('config_invalid', message, remedy, { option });
}

/** The multiples of `step` around a rank, in words. */
export function nearestMultiples(rank: number, step: number): string {
  const below = Math.floor(rank / step) * step;
  return below === 0 ? String(step) : `${below} or ${below + step}`;
}

/** Divisors of a rank that an option could be (at most 64). */
export function divisors(rank: number): number[] {
  return each(Math.min(rank, 64), (i) => i + 1).filter((candidate) => rank % candidate === 0);
}

/** What most methods have in common. */
export const plainMethod = {
  fileFlags: {},
  fileKeys: {},
  asStored: (adapter: AdapterConfig) => adapter,
  refersToBase: false,
  unreadSuffixes: [],
  readsTasks: () => false,
  sharedParameters: () => [],
  frozenExtra: () => 0,
  rankStep: () => 1,
  largestRank: ({ dIn, dOut }: LinearSize) => Math.min(dIn, dOut),
  check: () => undefined,
} as const satisfies Partial<AdapterMethod>;
