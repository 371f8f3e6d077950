import { family, optionalPositive } from './family.ts';
import { llamaRules } from './llama.ts';

export const granite = family(
  {
    embedding_multiplier: optionalPositive,
    residual_multiplier: optionalPositive,
    attention_multiplier: optionalPositive,
    logits_scaling: optionalPositive,
  },
  (keys) => ({
    ...llamaRules(keys),
    embeddingScale: keys.embedding_multiplier ?? 1,
    residualScale: keys.residual_multiplier ?? 1,
    attentionScale: keys.attention_multiplier ?? 1,
    logitScale: 1 / (keys.logits_scaling ?? 1),
  }),
);
