/**
 * What a decoder-only model needs to be built, read from config.json in either spelling (formats/huggingFaceConfig.ts).
 * Defaults are already applied: no field is optional.
 */
export interface DecoderConfig {
  /** `model_type` of config.json. */
  family: 'llama' | 'mistral' | 'qwen2' | 'qwen3';
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  /** Size of one head; may differ from hiddenSize / heads. */
  headDim: number;
  vocabularySize: number;
  /** max_position_embeddings. */
  contextLength: number;
  rmsEpsilon: number;
  ropeTheta: number;
  ropeScaling: RopeScaling | null;
  /** lm_head shares the embedding's weight. */
  tieEmbeddings: boolean;
  /** Biases on q, k, v. */
  queryKeyValueBias: boolean;
  /** Bias on o_proj. */
  outputBias: boolean;
  /** Biases on gate, up, down. */
  mlpBias: boolean;
  /** Qwen3: RMSNorm over each head of q and k before the rotary embedding. */
  queryKeyNorm: boolean;
  /** Each token sees only the last `slidingWindow` positions; null: all. */
  slidingWindow: number | null;
  bosId: number | null;
  /** Ids that end a text; several for instruct models. */
  eosIds: readonly number[];
  padId: number | null;
}

export type RopeScaling =
  | { type: 'linear'; factor: number }
  | { type: 'dynamic'; factor: number; originalContext: number }
  | {
      type: 'llama3';
      factor: number;
      lowFrequencyFactor: number;
      highFrequencyFactor: number;
      originalContext: number;
    }
  | {
      type: 'yarn';
      factor: number;
      originalContext: number;
      betaFast: number;
      betaSlow: number;
      attentionFactor: number | null;
    };
