import { z } from 'zod';
import {
  family,
  optionalPositive,
  pairOfRopes,
  seesWholeText,
  slidingPattern,
  type ConfigKeys,
  type FamilyRules,
} from './family.ts';
import { llamaRules } from './llama.ts';

function gemmaRules(keys: ConfigKeys): FamilyRules {
  return {
    ...llamaRules(keys),
    contextLength: 8192,
    keyValueHeads: 16,
    headDim: 256,
    mlpBias: false,
    tieEmbeddings: true,
    normGainOffset: 1,
    embeddingScale: Math.sqrt(keys.hidden_size),
    roundsEmbeddingScale: true,
    // The first Gemma's files say "gelu" and mean the tanh form.
    activation: keys.hidden_act == null || keys.hidden_act === 'gelu' ? 'gelu_pytorch_tanh' : keys.hidden_act,
  };
}

const laterKeys = {
  hidden_activation: z.string().nullish(),
  query_pre_attn_scalar: optionalPositive,
  final_logit_softcapping: optionalPositive,
};
type LaterKeys = z.output<z.ZodObject<typeof laterKeys>>;

function laterRules(keys: ConfigKeys & LaterKeys): FamilyRules {
  return {
    ...gemmaRules(keys),
    keyValueHeads: 4,
    normPlacement: 'both',
    activation: keys.hidden_activation ?? 'gelu_pytorch_tanh',
    attentionScale: (keys.query_pre_attn_scalar ?? 256) ** -0.5,
    readsLayerTypes: true,
    window: keys.sliding_window === undefined ? 4096 : keys.sliding_window,
  };
}

export const gemma = family({}, gemmaRules);

export const gemma2 = family({ ...laterKeys, attn_logit_softcapping: optionalPositive }, (keys) => ({
  ...laterRules(keys),
  // Null turns a cap off.
  attentionSoftcap: keys.attn_logit_softcapping === undefined ? 50 : keys.attn_logit_softcapping,
  finalSoftcap: keys.final_logit_softcapping === undefined ? 30 : keys.final_logit_softcapping,
  slides: (layer) => layer % 2 === 0,
}));

/** transformers reads attn_logit_softcapping of a Gemma 3 and does not use it. */
export const gemma3 = family(
  { ...laterKeys, rope_local_base_freq: optionalPositive, sliding_window_pattern: slidingPattern },
  (keys) => ({
    ...laterRules(keys),
    contextLength: 131_072,
    queryKeyNorm: 'head',
    finalSoftcap: keys.final_logit_softcapping ?? null,
    slides: (layer) => !seesWholeText(keys.sliding_window_pattern ?? 6, layer),
    ropes: pairOfRopes(keys, {
      whole: keys.rope_theta ?? 1_000_000,
      sliding: keys.rope_local_base_freq ?? 10_000,
    }),
  }),
);
