import type { Method, Precision, RowStrategy } from '../contract/training.ts';
import type { ModelShape } from '../shape/modelShape.ts';

/** What decides the sizes of a plain decoder without weights. */
export type BenchShape = Pick<
  ModelShape,
  'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'keyValueHeads' | 'headDim' | 'vocabularySize'
> &
  // Absent: the output head has a weight of its own.
  Partial<Pick<ModelShape, 'tieEmbeddings'>>;

/** Times training steps on random weights. */
export interface BenchRequest {
  kind: 'bench';
  shape: BenchShape;
  method: Method;
  rank: number;
  /** Of ID-LoRA; absent: as many as usual. */
  clusters?: number;
  batch: number;
  tokens: number;
  precision: Precision;
  gradientCheckpointing: boolean;
  /** Linear modules are kept in 4 bits; absent: in the compute type. */
  loadIn4bit?: boolean;
  /** Each row of the batch holds four examples, laid as packing lays them; absent: it is one example. */
  packing?: boolean;
  /** How ID-LoRA's rows are chosen; absent: the first ones, as which rows they are does not change a step. */
  pivots?: RowStrategy;
  /** Measured steps. */
  steps: number;
}

export interface BenchResult {
  /** Counted from the graph's variables. */
  trainable: number;
  base: number;
  loadSeconds: number;
  /** Of those, the adapter's values before training, with the choice of pivots. */
  prepareSeconds: number;
  /** With XLA's compilation. */
  firstStepSeconds: number;
  secondsPerStep: { median: number; minimum: number };
  /** Of the median step. */
  tokensPerSecond: number;
  /** Greatest resident memory of the process, TensorFlow and Node included. */
  peakMemoryBytes: number;
  /** Nats per token. */
  losses: { first: number; last: number };
  /** How bf16 matrices were multiplied (engine/graph/graph.ts). */
  products: 'native' | 'widened';
}
