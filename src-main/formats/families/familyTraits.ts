import type { NormPlacement, QueryKeyNorm } from '../../contract/entities.ts';
import type { ConfigKeys } from './configKeys.ts';
import type { DecoderFamily } from './decoderConfig.ts';

/** What a family fixes, and the defaults of keys that its config.json may leave out. */
export interface FamilyTraits {
  /** Null: as many as heads. */
  keyValueHeads: number | null;
  /** Null: hiddenSize / heads. */
  headDim: number | null;
  rmsEpsilon: number;
  tieEmbeddings: boolean;
  queryKeyValueBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  fusedProjections: boolean;
  normPlacement: NormPlacement;
  normGainOffset: number;
  queryKeyNorm: QueryKeyNorm;
  /** As transformers names it. */
  activation: string;
  embeddingScale: number;
  residualScale: number;
  /** Null: headDim^-0.5. */
  attentionScale: number | null;
  attentionSoftcap: number | null;
  logitScale: number;
  finalSoftcap: number | null;
}

/** The families as transformers 5 computes them (models/<family>/configuration_*.py and modeling_*.py). */
export function familyTraits(family: DecoderFamily, c: ConfigKeys): FamilyTraits {
  const attentionBias = c.attention_bias ?? false;
  const llama: FamilyTraits = {
    keyValueHeads: null,
    headDim: null,
    rmsEpsilon: 1e-6,
    tieEmbeddings: false,
    queryKeyValueBias: attentionBias,
    outputBias: attentionBias,
    mlpBias: c.mlp_bias ?? false,
    fusedProjections: false,
    normPlacement: 'before',
    normGainOffset: 0,
    queryKeyNorm: 'none',
    activation: c.hidden_act ?? 'silu',
    embeddingScale: 1,
    residualScale: 1,
    attentionScale: null,
    attentionSoftcap: null,
    logitScale: 1,
    finalSoftcap: null,
  };
  const noBias = { queryKeyValueBias: false, outputBias: false, mlpBias: false };
  const gemma: FamilyTraits = {
    ...llama,
    mlpBias: false,
    headDim: 256,
    tieEmbeddings: true,
    normGainOffset: 1,
    embeddingScale: Math.sqrt(c.hidden_size),
    // The first Gemma's files say "gelu" and mean the tanh form.
    activation: c.hidden_act == null || c.hidden_act === 'gelu' ? 'gelu_pytorch_tanh' : c.hidden_act,
  };
  const laterGemma: FamilyTraits = {
    ...gemma,
    keyValueHeads: 4,
    normPlacement: 'both',
    activation: c.hidden_activation ?? 'gelu_pytorch_tanh',
    attentionScale: (c.query_pre_attn_scalar ?? 256) ** -0.5,
  };
  switch (family) {
    case 'llama':
      return llama;
    case 'mistral':
    case 'ministral':
      return { ...llama, ...noBias, keyValueHeads: 8 };
    case 'qwen2':
      return { ...llama, ...noBias, keyValueHeads: 32, queryKeyValueBias: true };
    case 'qwen3':
      return { ...llama, mlpBias: false, keyValueHeads: 32, headDim: 128, queryKeyNorm: 'head' };
    case 'gemma':
      return { ...gemma, keyValueHeads: 16 };
    case 'gemma2':
      return {
        ...laterGemma,
        attentionSoftcap: capped(c.attn_logit_softcapping, 50),
        finalSoftcap: capped(c.final_logit_softcapping, 30),
      };
    case 'gemma3_text':
      // transformers reads attn_logit_softcapping of a Gemma 3 and does not use it.
      return { ...laterGemma, queryKeyNorm: 'head', finalSoftcap: c.final_logit_softcapping ?? null };
    case 'phi3':
      return { ...llama, ...noBias, rmsEpsilon: 1e-5, fusedProjections: true };
    case 'smollm3':
      return { ...llama, keyValueHeads: 4, tieEmbeddings: true };
    case 'granite':
      return {
        ...llama,
        embeddingScale: c.embedding_multiplier ?? 1,
        residualScale: c.residual_multiplier ?? 1,
        attentionScale: c.attention_multiplier ?? 1,
        logitScale: 1 / (c.logits_scaling ?? 1),
      };
    case 'olmo2':
    case 'olmo3':
      return {
        ...llama,
        mlpBias: false,
        rmsEpsilon: 1e-5,
        normPlacement: 'after',
        queryKeyNorm: 'projection',
      };
    case 'exaone4':
      return {
        ...llama,
        ...noBias,
        keyValueHeads: 32,
        rmsEpsilon: 1e-5,
        normPlacement: 'after',
        queryKeyNorm: 'head',
      };
    default:
      throw new Error(`unknown family ${String(family satisfies never)}`);
  }
}

/** An absent key has the family's default; null turns the cap off. */
function capped(value: number | null | undefined, fallback: number): number | null {
  return value === undefined ? fallback : value;
}
