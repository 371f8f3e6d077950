import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { readFamily } from './decoderConfigOf.ts';
import { families } from './registry.ts';

/** The sizes that a configuration must give, by their first name in Hugging Face files. */
const sizeKeys = {
  hiddenSize: ['hidden_size', 'n_embd', 'd_model', 'dim'],
  intermediateSize: ['intermediate_size', 'n_inner', 'ffn_hidden_size', 'ffn_dim', 'd_ff'],
  layers: ['num_hidden_layers', 'n_layer', 'num_layers', 'n_layers'],
  heads: ['num_attention_heads', 'n_head', 'n_heads'],
  vocabularySize: ['vocab_size', 'padded_vocab_size'],
} as const;
export type SizeKey = keyof typeof sizeKeys;

/** Under which name a size is asked for. */
export const sizeNames: Readonly<Record<SizeKey, string>> = {
  hiddenSize: sizeKeys.hiddenSize[0],
  intermediateSize: sizeKeys.intermediateSize[0],
  layers: sizeKeys.layers[0],
  heads: sizeKeys.heads[0],
  vocabularySize: sizeKeys.vocabularySize[0],
};

/** What a configuration tells of a model's sizes, as far as the studio knows its architecture. */
export interface ReadShape {
  /** Null while sizes are missing. */
  shape: ModelShape | null;
  found: Partial<Record<SizeKey, number>>;
  missing: SizeKey[];
  /** What was assumed, and what the counts leave out. */
  notes: string[];
  /** Values that cannot be. */
  problems: string[];
}

const record = z.record(z.string(), z.unknown());
const size = z.number().int().min(1).max(10_000_000);

/**
 * Reads the sizes in a config.json: of a family that the studio knows as the engine does, of any other as far as its
 * keys are known; the layout is then taken to be Llama's.
 *
 * @param config the parsed file
 * @param given sizes that a person has added
 */
export function readShape(config: unknown, given: Partial<Record<SizeKey, number>> = {}): ReadShape {
  const whole = record.safeParse(config).data ?? {};
  // Models that also see or hear keep the language model's sizes apart.
  const raw = { ...whole, ...record.safeParse(whole['text_config'] ?? whole['llm_config']).data };
  const problems: string[] = [];
  const number = (keys: readonly string[]): number | undefined => {
    const key = keys.find((name) => raw[name] !== undefined && raw[name] !== null);
    if (key === undefined) return undefined;
    const value = size.safeParse(raw[key]);
    if (!value.success)
      problems.push(`${key} is ${JSON.stringify(raw[key])?.slice(0, 40)}: a whole number from 1 is needed.`);
    return value.data;
  };
  const found: Partial<Record<SizeKey, number>> = {};
  for (const key of Object.keys(sizeKeys) as SizeKey[]) {
    const value = number(sizeKeys[key]) ?? given[key];
    if (value !== undefined) found[key] = value;
  }
  const missing = (Object.keys(sizeKeys) as SizeKey[]).filter((key) => found[key] === undefined);
  const keyValueHeads = number(['num_key_value_heads', 'num_kv_heads', 'multi_query_group_num']);
  const headSize = number(['head_dim', 'kv_channels']);
  const { hiddenSize, intermediateSize, layers, heads, vocabularySize } = found;
  const headDim = headSize ?? (hiddenSize && heads ? hiddenSize / heads : undefined);
  if (headDim !== undefined && !Number.isInteger(headDim))
    problems.push(
      `${hiddenSize} hidden numbers are no multiple of ${heads} heads, and head_dim is not given.`,
    );
  const type = raw['model_type'];
  if (typeof type === 'string' && Object.hasOwn(families, type) && missing.length + problems.length === 0)
    try {
      const sizes = Object.entries(found).map(([key, value]) => [sizeNames[key as SizeKey], value]);
      const { shape } = readFamily({ ...raw, ...Object.fromEntries(sizes) });
      return { shape, found, missing, notes: partNotes(whole), problems };
    } catch (error) {
      if (!(error instanceof StudioError)) throw error;
      problems.push(error.message);
    }
  const notes = [...partNotes(whole), ...layoutNotes(raw)];
  const isWhole = missing.length === 0 && problems.length === 0;
  if (!isWhole || !hiddenSize || !intermediateSize || !layers || !heads || !vocabularySize || !headDim)
    return { shape: null, found, missing, notes, problems };
  const isOn = (...keys: string[]) => keys.some((key) => raw[key] === true);
  const shape: ModelShape = {
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    vocabularySize,
    headDim,
    keyValueHeads: keyValueHeads ?? heads,
    tieEmbeddings: isOn('tie_word_embeddings'),
    queryKeyValueBias: isOn('attention_bias', 'qkv_bias', 'add_qkv_bias'),
    outputBias: isOn('attention_bias'),
    mlpBias: isOn('mlp_bias'),
    queryKeyNorm: isOn('use_qk_norm', 'qk_layernorm') ? 'head' : 'none',
    normPlacement: 'before',
    fusedProjections: false,
  };
  return { shape, found, missing, notes, problems };
}

/** What a configuration of several parts leaves out. */
function partNotes(whole: Record<string, unknown>): string[] {
  return ['text_config', 'llm_config'].some((key) => whole[key] != null)
    ? ['The language model is counted; parts for images or sound are not.']
    : [];
}

function layoutNotes(raw: Record<string, unknown>): string[] {
  const type = typeof raw['model_type'] === 'string' ? `"${raw['model_type'].slice(0, 40)}"` : 'This model';
  const notes = [
    `${type} is counted as a decoder of Llama's layout (q, k, v, o, gate, up, down): the base model's total may differ a little.`,
  ];
  if (typeof raw['tie_word_embeddings'] !== 'boolean')
    notes.push(
      'It does not say whether input and output share the embedding (tie_word_embeddings): they are counted apart.',
    );
  const experts = ['num_experts', 'num_local_experts', 'n_routed_experts'].find((key) => raw[key] != null);
  if (experts)
    notes.push(
      `It has a mixture of experts (${experts}): one expert is counted, so that base and MLP modules are too small; adapt attention modules only.`,
    );
  return notes;
}
