import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { StudioError } from '../contract/errors.ts';
import type { DecoderConfig, RopeScaling } from './decoderConfig.ts';
import { readJsonObject } from './jsonFile.ts';

const families = ['llama', 'mistral', 'qwen2', 'qwen3'] as const;

const size = z.number().int().min(1).max(1_000_000);
const optionalSize = size.nullish();
const idList = z.union([z.number().int().min(0), z.array(z.number().int().min(0))]).nullish();
const optionalFlag = z.boolean().nullish();

/** The keys of config.json that decide how a decoder computes; older and newer spellings. */
const configSchema = z.object({
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: z.number().int().min(1).max(1000),
  num_attention_heads: z.number().int().min(1).max(4096),
  num_key_value_heads: optionalSize,
  head_dim: optionalSize,
  vocab_size: z.number().int().min(2).max(10_000_000),
  max_position_embeddings: z.number().int().min(1).max(100_000_000).default(2048),
  rms_norm_eps: z.number().positive().max(1).default(1e-6),
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: optionalFlag,
  attention_bias: optionalFlag,
  mlp_bias: optionalFlag,
  sliding_window: optionalSize,
  use_sliding_window: optionalFlag,
  max_window_layers: z.number().int().min(0).nullish(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  bos_token_id: idList,
  eos_token_id: idList,
  pad_token_id: idList,
});

function unsupported(message: string): StudioError {
  return new StudioError(
    'model_unsupported',
    message,
    `Supported are Llama-type decoders: ${families.join(', ')} with unquantised safetensors weights.`,
  );
}

/**
 * Reads config.json (and the end ids of generation_config.json) of a Hugging Face folder.
 * @throws StudioError model_invalid: missing or impossible values; model_unsupported: an architecture or option the engine lacks
 */
export function readDecoderConfig(folder: string): DecoderConfig {
  const raw = readJsonObject(join(folder, 'config.json'), 10 * 1024 * 1024, 'model_invalid');
  const family = families.find((name) => name === raw['model_type']);
  if (!family) throw unsupported(`The architecture ${JSON.stringify(raw['model_type'])} is not supported.`);
  if (raw['quantization_config'])
    throw unsupported('The weights are quantised (quantization_config in config.json).');
  const parsed = configSchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw invalid(`config.json: ${issue.path.join('.')}: ${issue.message}.`);
  }
  const c = parsed.data;
  if (c.hidden_act !== 'silu')
    throw unsupported(`The activation "${c.hidden_act}" is not supported (silu is).`);

  const heads = c.num_attention_heads;
  const keyValueHeads = c.num_key_value_heads ?? (family === 'mistral' ? 8 : family === 'llama' ? heads : 32);
  if (heads % keyValueHeads !== 0)
    throw invalid(
      `config.json: ${heads} attention heads are no multiple of ${keyValueHeads} key/value heads.`,
    );
  const headDim = c.head_dim ?? (family === 'qwen3' ? 128 : c.hidden_size / heads);
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw invalid(`config.json: the head size ${headDim} must be an even whole number.`);
  const rope = { ...c.rope_parameters, ...c.rope_scaling };
  return {
    family,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads,
    keyValueHeads,
    headDim,
    vocabularySize: c.vocab_size,
    contextLength: c.max_position_embeddings,
    rmsEpsilon: c.rms_norm_eps,
    ropeTheta: c.rope_theta ?? positive(rope['rope_theta'], 10_000),
    ropeScaling: ropeScaling(rope, c.max_position_embeddings),
    tieEmbeddings: c.tie_word_embeddings ?? false,
    queryKeyValueBias: family === 'qwen2' || (c.attention_bias ?? false),
    outputBias: family !== 'qwen2' && (c.attention_bias ?? false),
    mlpBias: family === 'llama' && (c.mlp_bias ?? false),
    queryKeyNorm: family === 'qwen3',
    slidingWindow: slidingWindow(family, c),
    bosId: firstId(c.bos_token_id),
    eosIds: [...new Set([...idsOf(c.eos_token_id), ...generationEndIds(folder)])],
    padId: firstId(c.pad_token_id),
  };
}

function invalid(message: string): StudioError {
  return new StudioError('model_invalid', message, 'Check config.json, or download the model again.');
}

type ParsedConfig = z.output<typeof configSchema>;

/** Mistral's window counts whenever it is set; Qwen's only with use_sliding_window, and then from some layer on. */
function slidingWindow(family: DecoderConfig['family'], c: ParsedConfig): number | null {
  if (family === 'mistral') return c.sliding_window ?? null;
  if (!c.use_sliding_window || !c.sliding_window) return null;
  if ((c.max_window_layers ?? 0) >= c.num_hidden_layers) return null;
  throw unsupported('A sliding window on some layers only (use_sliding_window) is not supported.');
}

function positive(value: unknown, fallback: number): number {
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : fallback;
}

function ropeScaling(rope: Record<string, unknown>, contextLength: number): RopeScaling | null {
  const type = rope['rope_type'] ?? rope['type'] ?? 'default';
  const factor = positive(rope['factor'], 1);
  const originalContext = positive(rope['original_max_position_embeddings'], contextLength);
  switch (type) {
    case 'default':
      return null;
    case 'linear':
      return { type: 'linear', factor };
    case 'dynamic':
      return { type: 'dynamic', factor, originalContext };
    case 'llama3':
      return {
        type: 'llama3',
        factor,
        lowFrequencyFactor: positive(rope['low_freq_factor'], 1),
        highFrequencyFactor: positive(rope['high_freq_factor'], 4),
        originalContext,
      };
    case 'yarn':
      return {
        type: 'yarn',
        factor,
        originalContext,
        betaFast: positive(rope['beta_fast'], 32),
        betaSlow: positive(rope['beta_slow'], 1),
        attentionFactor: typeof rope['attention_factor'] === 'number' ? rope['attention_factor'] : null,
      };
    default:
      throw unsupported(`The rope scaling ${JSON.stringify(type)} is not supported.`);
  }
}

function idsOf(value: number | number[] | null | undefined): number[] {
  return value == null ? [] : Array.isArray(value) ? value : [value];
}

function firstId(value: number | number[] | null | undefined): number | null {
  return idsOf(value)[0] ?? null;
}

function generationEndIds(folder: string): number[] {
  const path = join(folder, 'generation_config.json');
  if (!existsSync(path)) return [];
  const parsed = idList.safeParse(readJsonObject(path, 1024 * 1024, 'model_invalid')['eos_token_id']);
  return parsed.success ? idsOf(parsed.data) : [];
}
