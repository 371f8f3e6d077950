import { z } from 'zod';

const size = z.number().int().min(1).max(1_000_000);
const optionalSize = size.nullish();
const optionalPositive = z.number().positive().nullish();
/** One id or several. */
export const idList = z.union([z.number().int().min(0), z.array(z.number().int().min(0))]).nullish();
const optionalFlag = z.boolean().nullish();
const optionalRecord = z.record(z.string(), z.unknown()).nullish();

/** The keys of config.json that decide how a decoder computes; older and newer spellings. Absent and null differ. */
export const configKeys = z.object({
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: z.number().int().min(1).max(1000),
  num_attention_heads: z.number().int().min(1).max(4096),
  num_key_value_heads: optionalSize,
  head_dim: optionalSize,
  vocab_size: z.number().int().min(2).max(10_000_000),
  max_position_embeddings: z.number().int().min(1).max(100_000_000).nullish(),
  original_max_position_embeddings: z.number().int().min(2).max(100_000_000).nullish(),
  rms_norm_eps: z.number().positive().max(1).nullish(),
  hidden_act: z.string().nullish(),
  hidden_activation: z.string().nullish(),
  tie_word_embeddings: optionalFlag,
  attention_bias: optionalFlag,
  mlp_bias: optionalFlag,
  sliding_window: optionalSize,
  use_sliding_window: optionalFlag,
  max_window_layers: z.number().int().min(0).nullish(),
  /**
   * EXAONE 4 writes it as a text (LLLG) beside layer_types, which say the same, or as 0 where no layer has a window.
   */
  sliding_window_pattern: z.union([z.number().int().min(0), z.string()]).nullish(),
  layer_types: z.array(z.string()).nullish(),
  no_rope_layers: z.array(z.number().int()).nullish(),
  no_rope_layer_interval: z.number().int().min(1).nullish(),
  rope_theta: optionalPositive,
  rope_local_base_freq: optionalPositive,
  partial_rotary_factor: optionalPositive,
  rope_scaling: optionalRecord,
  rope_parameters: optionalRecord,
  query_pre_attn_scalar: optionalPositive,
  attn_logit_softcapping: optionalPositive,
  final_logit_softcapping: optionalPositive,
  embedding_multiplier: optionalPositive,
  residual_multiplier: optionalPositive,
  attention_multiplier: optionalPositive,
  logits_scaling: optionalPositive,
  bos_token_id: idList,
  eos_token_id: idList,
  pad_token_id: idList,
});
export type ConfigKeys = z.output<typeof configKeys>;
