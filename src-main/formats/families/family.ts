import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { DecoderConfig } from './decoderConfig.ts';

const size = z.number().int().min(1).max(1_000_000);
const optionalSize = size.nullish();
export const optionalPositive = z.number().positive().nullish();
export const optionalFlag = z.boolean().nullish();
/** One id or several. A negative one says that there is none, as transformers takes it. */
export const idList = z.union([z.number().int(), z.array(z.number().int())]).nullish();
const optionalRecord = z.record(z.string(), z.unknown()).nullish();

/** Keys of config.json that every family has, in older and newer spellings. Absent and null differ. */
const commonKeys = z.object({
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
  tie_word_embeddings: optionalFlag,
  attention_bias: optionalFlag,
  mlp_bias: optionalFlag,
  sliding_window: optionalSize,
  layer_types: z.array(z.string()).nullish(),
  rope_theta: optionalPositive,
  partial_rotary_factor: optionalPositive,
  rope_scaling: optionalRecord,
  rope_parameters: optionalRecord,
  bos_token_id: idList,
  eos_token_id: idList,
  pad_token_id: idList,
});
export type ConfigKeys = z.output<typeof commonKeys>;

/** What a family fixes, and the defaults of keys that its config.json may leave out. */
export interface FamilyRules extends Pick<
  DecoderConfig,
  | 'contextLength'
  | 'rmsEpsilon'
  | 'normGainOffset'
  | 'normPlacement'
  | 'queryKeyNorm'
  | 'embeddingScale'
  | 'roundsEmbeddingScale'
  | 'residualScale'
  | 'attentionSoftcap'
  | 'logitScale'
  | 'finalSoftcap'
  | 'tieEmbeddings'
  | 'queryKeyValueBias'
  | 'outputBias'
  | 'mlpBias'
  | 'fusedProjections'
> {
  /** Null: as many as heads. */
  keyValueHeads: number | null;
  /** Null: hiddenSize / heads. */
  headDim: number | null;
  /** As transformers names it. */
  activation: string;
  /** Null: headDim^-0.5. */
  attentionScale: number | null;
  /** Whether layer_types of config.json says which layers slide. */
  readsLayerTypes: boolean;
  /** Whether a layer slides (has a window) where config.json names no layer_types. */
  slides: (layer: number) => boolean;
  /** Positions that layers which slide see; null: config.json gives none. */
  window: number | null;
  /** Whether q and k of a layer are rotated. */
  rotates: (layer: number, slides: boolean) => boolean;
  /** The rope of all layers, or that of layers which see the whole text and that of layers which slide. */
  ropes: readonly [RopeRules] | readonly [RopeRules, RopeRules];
  /** Positions that a scaled rope was made for, where config.json says nothing; null: max_position_embeddings. */
  originalContext: number | null;
}

export interface RopeRules {
  /** The rope's keys in config.json, in either spelling. */
  parameters: Readonly<Record<string, unknown>>;
  /** Used where the keys name no rope_theta. */
  theta: number;
  /** Part of each head that is rotated; null: the family knows no parts. */
  partialFactor: number | null;
}

/** A kind of decoder (`model_type` of config.json) that the engine computes. */
export interface Family {
  /** @throws StudioError model_invalid: a key is missing or impossible; model_unsupported */
  read: (config: Readonly<Record<string, unknown>>) => { keys: ConfigKeys; rules: FamilyRules };
}

/** A family that reads keys of its own besides the common ones. */
export function family<Own extends z.ZodRawShape>(
  ownKeys: Own,
  rulesOf: (keys: ConfigKeys & z.output<z.ZodObject<Own>>) => FamilyRules,
): Family {
  const schema = z.object(ownKeys);
  return {
    read(config) {
      const keys = { ...parse(commonKeys, config), ...parse(schema, config) };
      return { keys, rules: rulesOf(keys) };
    },
  };
}

function parse<T extends z.ZodType>(schema: T, config: unknown): z.output<T> {
  const parsed = schema.safeParse(config);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw invalidConfig(`${issue.path.join('.')}: ${issue.message.replace(/\.$/, '')}`);
}

export const slidingType = 'sliding_attention';
export const wholeType = 'full_attention';

/**
 * The ropes of a family whose layers with a window have one of their own. rope_scaling scales that of the others
 * alone.
 */
export function pairOfRopes(keys: ConfigKeys, thetas: { whole: number; sliding: number }) {
  const of = (type: string) => {
    const nested = keys.rope_parameters?.[type];
    return typeof nested === 'object' && nested !== null ? nested : {};
  };
  return [
    { parameters: { ...of(wholeType), ...keys.rope_scaling }, theta: thetas.whole, partialFactor: null },
    { parameters: { ...of(slidingType) }, theta: thetas.sliding, partialFactor: null },
  ] as const;
}

/** EXAONE 4 writes it as a text (LLLG) beside layer_types, which say the same, or as 0 where no layer has a window. */
export const slidingPattern = z.union([z.number().int().min(0), z.string()]).nullish();

/** Whether sliding_window_pattern, which gives every so many-th layer the whole text, means this one. */
export function seesWholeText(every: number | string, layer: number): boolean {
  if (typeof every === 'number' && every > 0) return (layer + 1) % every === 0;
  throw invalidConfig(
    `sliding_window_pattern ${JSON.stringify(every)} is no number of layers, and there are no layer_types`,
  );
}

export function invalidConfig(what: string): StudioError {
  return new StudioError(
    'model_invalid',
    `config.json: ${what}.`,
    'Correct config.json, or take the one of the model’s publisher.',
  );
}
