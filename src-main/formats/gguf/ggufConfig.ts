import { basename } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import type { GgufFamily } from '../../shape/ggufFamilies.ts';
import { dequantized } from './blocks.ts';
import { llama3Factors } from './architecture.ts';
import type { GgufFile } from './ggufFile.ts';
import type { GgufValue } from './ggufTypes.ts';

/** The family of what llama.cpp calls an architecture; Mistral's is Llama's. */
const families: Readonly<Record<string, GgufFamily>> = {
  llama: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
  gemma: 'gemma',
  gemma2: 'gemma2',
  gemma3: 'gemma3_text',
  phi3: 'phi3',
  smollm3: 'smollm3',
};

type Json = Record<string, unknown>;

/** Typed access to the metadata; a key of a wrong kind is named. */
class Keys {
  readonly #file: GgufFile;

  constructor(file: GgufFile) {
    this.#file = file;
  }

  invalid(what: string): StudioError {
    return new StudioError(
      'model_invalid',
      `${basename(this.#file.path)} ${what}.`,
      'Take the file from its source once more, or another one of the same model.',
    );
  }

  text(key: string): string | null {
    const value = this.#file.metadata.get(key);
    if (value === undefined) return null;
    if (typeof value === 'string') return value;
    throw this.invalid(`has no text as ${key}`);
  }

  number(key: string): number | null {
    const value = this.#file.metadata.get(key);
    if (value === undefined) return null;
    if (typeof value === 'number') return value;
    // A list has one number a layer; they must agree.
    const first: GgufValue | undefined = Array.isArray(value)
      ? (value as readonly GgufValue[])[0]
      : undefined;
    if (typeof first === 'number' && (value as readonly GgufValue[]).every((other) => other === first))
      return first;
    throw this.invalid(`has no single number as ${key}`);
  }

  needed(key: string): number {
    const value = this.number(key);
    if (value === null) throw this.invalid(`lacks the key ${key}`);
    return value;
  }
}

/**
 * What a GGUF file says of its model, as the config.json of a Hugging Face folder.
 * @throws StudioError model_invalid, model_unsupported: an architecture or a scaling that the engine does not compute
 */
export function configOfGguf(file: GgufFile): Json {
  const keys = new Keys(file);
  if (keys.text('general.type') === 'adapter')
    throw new StudioError(
      'model_invalid',
      `${basename(file.path)} is an adapter, not a model.`,
      'Choose the GGUF file of the model itself.',
    );
  const architecture = keys.text('general.architecture');
  if (architecture === null) throw keys.invalid('names no architecture');
  const family = Object.hasOwn(families, architecture) ? families[architecture]! : null;
  if (family === null)
    throw new StudioError(
      'model_unsupported',
      `${basename(file.path)} holds a model of the architecture ${JSON.stringify(architecture)}, which the studio does not read from GGUF.`,
      `Choose a file of ${Object.keys(families).join(', ')}, or the model's safetensors folder.`,
    );
  const own = (key: string) => keys.number(`${architecture}.${key}`);
  const needed = (key: string) => keys.needed(`${architecture}.${key}`);
  const heads = needed('attention.head_count');
  const hiddenSize = needed('embedding_length');
  const layers = needed('block_count');
  const headDim = own('attention.key_length') ?? hiddenSize / heads;
  if ((own('attention.value_length') ?? headDim) !== headDim)
    throw keys.invalid('has values of another width than keys');
  const embedding = file.tensors.get('token_embd.weight');
  if (!embedding) throw keys.invalid('lacks the tensor token_embd.weight');
  const has = (name: string) => file.tensors.has(name);
  const window = own('attention.sliding_window');
  const later = family === 'gemma2' || family === 'gemma3_text';
  const every = family === 'gemma2' ? 2 : 6;
  const meanHead = (family === 'gemma2' && layers === 46) || (family === 'gemma3_text' && layers === 62);
  return {
    model_type: family,
    hidden_size: hiddenSize,
    intermediate_size: needed('feed_forward_length'),
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: own('attention.head_count_kv') ?? heads,
    head_dim: headDim,
    vocab_size: embedding.shape[0],
    max_position_embeddings: needed('context_length'),
    rms_norm_eps: own('attention.layer_norm_rms_epsilon') ?? undefined,
    tie_word_embeddings: !has('output.weight'),
    ...(family === 'llama' && {
      attention_bias: has('blk.0.attn_output.bias'),
      mlp_bias: has('blk.0.ffn_down.bias'),
    }),
    ...(family === 'qwen3' && { attention_bias: false }),
    ...(family === 'phi3' && { sliding_window: null }),
    ...(family === 'smollm3' && {
      no_rope_layers: Array.from({ length: layers }, (_, layer) => ((layer + 1) % 4 === 0 ? 0 : 1)),
    }),
    ...(later && {
      // llama.cpp knows the width of the window by heart where Gemma 2's file does not name it.
      sliding_window: window ?? (family === 'gemma2' ? 4096 : null),
      layer_types: Array.from({ length: layers }, (_, layer) =>
        layer % every < every - 1 && (window !== null || family === 'gemma2')
          ? 'sliding_attention'
          : 'full_attention',
      ),
      query_pre_attn_scalar: meanHead ? Math.trunc(hiddenSize / heads) : headDim,
      ...(family === 'gemma2' && { attn_logit_softcapping: own('attn_logit_softcapping') }),
      final_logit_softcapping: own('final_logit_softcapping'),
    }),
    ...ropeOf({ file, keys, architecture, family, headDim }),
  };
}

interface RopeSource {
  file: GgufFile;
  keys: Keys;
  architecture: string;
  family: GgufFamily;
  headDim: number;
}

/** The rope's keys of config.json, as transformers 5 writes them. */
function ropeOf({ file, keys, architecture, family, headDim }: RopeSource): Json {
  const own = (key: string) => keys.number(`${architecture}.rope.${key}`);
  const theta = own('freq_base') ?? 10_000;
  const dimensions = own('dimension_count') ?? headDim;
  if (dimensions !== headDim && family !== 'phi3')
    throw keys.invalid(`rotates ${dimensions} of ${headDim} numbers of a head`);
  const partial = family === 'phi3' ? { partial_rotary_factor: dimensions / headDim } : {};
  const scaling = scalingOf({ file, keys, architecture }, { theta, dimensions });
  const rope = { rope_theta: theta, ...scaling, ...partial };
  if (family !== 'gemma3_text') return { rope_parameters: rope, ...originalOf(scaling) };
  const sliding = { rope_type: 'default', rope_theta: own('freq_base_swa') ?? 10_000 };
  return { rope_parameters: { full_attention: rope, sliding_attention: sliding } };
}

/** Phi-3 looks for it beside the rope's keys. */
function originalOf(scaling: Json): Json {
  const original = scaling['original_max_position_embeddings'];
  return original === undefined ? {} : { original_max_position_embeddings: original };
}

function scalingOf(
  { file, keys, architecture }: Pick<RopeSource, 'file' | 'keys' | 'architecture'>,
  rope: { theta: number; dimensions: number },
): Json {
  const own = (key: string) => keys.number(`${architecture}.rope.scaling.${key}`);
  const type = keys.text(`${architecture}.rope.scaling.type`);
  const values = (name: string): number[] | null => {
    const info = file.tensors.get(name);
    return info ? [...dequantized(file.readRange(name, 0, info.byteLength), info.type)] : null;
  };
  const long = values('rope_factors_long.weight');
  if (long)
    return {
      rope_type: 'longrope',
      long_factor: long,
      short_factor: values('rope_factors_short.weight') ?? long,
      original_max_position_embeddings: own('original_context_length') ?? undefined,
      attention_factor: own('attn_factor') ?? undefined,
    };
  const freqs = values('rope_freqs.weight');
  if (freqs) return llama3Of(freqs, rope);
  const factor = own('factor') ?? keys.number(`${architecture}.rope.scale_linear`);
  if (type === 'yarn')
    return {
      rope_type: 'yarn',
      factor,
      original_max_position_embeddings: own('original_context_length') ?? undefined,
      beta_fast: own('yarn_beta_fast') ?? undefined,
      beta_slow: own('yarn_beta_slow') ?? undefined,
    };
  if (factor !== null && factor !== 1 && (type === 'linear' || type === null))
    return { rope_type: 'linear', factor };
  if (type !== null && !['none', 'linear', 'longrope'].includes(type))
    throw keys.invalid(`scales its rope by ${JSON.stringify(type)}, which the studio does not know`);
  return { rope_type: 'default' };
}

/** Llama 3's factors are stored, not what they follow from: with its usual bounds the context is found from one. */
function llama3Of(values: readonly number[], rope: { theta: number; dimensions: number }): Json {
  const factor = values.at(-1)!;
  if (values.every((value) => value === 1)) return { rope_type: 'default' };
  const [low, high] = [1, 4];
  // Between the bounds a factor says where it lies; where none does, that of all releases.
  const at = values.findIndex((value) => value > 1.001 && value < 0.999 * factor);
  const smooth = (1 / values[at]! - 1 / factor) / (1 - 1 / factor);
  const turns = low + smooth * (high - low);
  const originalContext =
    at < 0 ? 8192 : Math.round(turns * 2 * Math.PI * rope.theta ** ((2 * at) / rope.dimensions));
  const scaling = { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext };
  const isRight =
    originalContext > 1 &&
    llama3Factors(scaling, rope).every((value, i) => Math.abs(value / values[i]! - 1) < 1e-5);
  if (!isRight)
    throw new StudioError(
      'model_unsupported',
      'The GGUF file divides the frequencies of its rope by numbers that no scaling of the studio gives.',
      'Choose the model’s safetensors folder.',
    );
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: originalContext,
  };
}
