import type { ModelShape } from '../../shape/modelShape.ts';
import type { NormPlacement, QueryKeyNorm } from '../../contract/entities.ts';

/**
 * What a decoder-only model needs to be built, read from config.json in either spelling
 * (formats/families/huggingFaceConfig.ts). Defaults are already applied: no field is optional. Families differ by these
 * fields only; the graph asks for no family.
 */
export interface DecoderConfig {
  /** `model_type` of config.json: a name of the registry. */
  family: string;
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  /** Size of one head; may differ from hiddenSize / heads. */
  headDim: number;
  vocabularySize: number;
  /** Positions that can be used: max_position_embeddings, stretched where the rope scaling is dynamic. */
  contextLength: number;
  /** Rotary embeddings that layers refer to. */
  ropes: readonly Rope[];
  /** What differs from layer to layer; one entry for each. */
  layerKinds: readonly LayerKind[];
  rmsEpsilon: number;
  /** RMSNorm multiplies by gain + normGainOffset (Gemma stores gain - 1). */
  normGainOffset: number;
  /** Where a layer's RMSNorms stand: on the input of attention and MLP, on their outputs, or both (Gemma 2 and 3). */
  normPlacement: NormPlacement;
  /**
   * RMSNorm of q and k before the rotary embedding: over each head (Qwen3, Gemma 3, EXAONE 4) or the whole projection
   * (OLMo 2 and 3).
   */
  queryKeyNorm: QueryKeyNorm;
  /** The MLP computes down(activation(gate) * up). */
  activation: Activation;
  /** Embeddings are multiplied by it. */
  embeddingScale: number;
  /** That scale is rounded to the compute type, as in transformers (Gemma: sqrt(3072) is 55.5 in bf16). */
  roundsEmbeddingScale: boolean;
  /** Outputs of attention and MLP are multiplied by it before they join the residual stream. */
  residualScale: number;
  /** Scores are q k^T times this. */
  attentionScale: number;
  /** Scores s become cap * tanh(s / cap); null: they stay. */
  attentionSoftcap: number | null;
  /** Logits are multiplied by it. */
  logitScale: number;
  /** Logits z become cap * tanh(z / cap); null: they stay. */
  finalSoftcap: number | null;
  /** lm_head shares the embedding's weight. */
  tieEmbeddings: boolean;
  /** Biases on q, k, v. */
  queryKeyValueBias: boolean;
  /** Bias on o_proj. */
  outputBias: boolean;
  /** Biases on gate, up, down. */
  mlpBias: boolean;
  /** q, k, v lie in one matrix qkv_proj and gate, up in gate_up_proj (Phi-3). */
  fusedProjections: boolean;
  /** The folder has NF4 weights whose scales are f32; absent: it has not. */
  hasPlainNf4Scales?: boolean | undefined;
  bosId: number | null;
  /** Ids at which transformers stops to generate; several for instruct models. */
  eosIds: readonly number[];
  padId: number | null;
}

export type Activation = 'silu' | 'geluTanh';

export interface LayerKind {
  /** Each token sees only the last `window` positions, its own included; null: all. */
  window: number | null;
  /** Index into `ropes`; null: q and k are not rotated. */
  rope: number | null;
}

/** A rotary position embedding. */
export interface Rope {
  theta: number;
  /** The first so many numbers of each head are rotated, the others pass; even. */
  dimensions: number;
  scaling: RopeScaling | null;
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
      /** Factor on cos and sin. */
      attentionFactor: number;
      /** The ramp's ends are rounded outwards to whole dimensions. */
      truncate: boolean;
    }
  | {
      type: 'longrope';
      /** Divisors of each frequency in texts of up to originalContext tokens, and in longer ones. */
      shortFactors: readonly number[];
      longFactors: readonly number[];
      originalContext: number;
      attentionFactor: number;
    };

/** Whether a rope's frequencies depend on the text's length. */
export function dependsOnLength({ scaling }: Rope): boolean {
  return scaling?.type === 'dynamic' || scaling?.type === 'longrope';
}

/** A Llama of the given sizes, without scaling and ids. */
export function llamaConfig(shape: ModelShape, contextLength: number): DecoderConfig {
  return {
    ...shape,
    family: 'llama',
    contextLength,
    ropes: [{ theta: 10_000, dimensions: shape.headDim, scaling: null }],
    layerKinds: Array.from({ length: shape.layers }, () => ({ window: null, rope: 0 })),
    rmsEpsilon: 1e-6,
    normGainOffset: 0,
    activation: 'silu',
    embeddingScale: 1,
    roundsEmbeddingScale: false,
    residualScale: 1,
    attentionScale: shape.headDim ** -0.5,
    attentionSoftcap: null,
    logitScale: 1,
    finalSoftcap: null,
    bosId: null,
    eosIds: [],
    padId: null,
  };
}
