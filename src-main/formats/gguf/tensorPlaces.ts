import type { DecoderConfig } from '../families/decoderConfig.ts';
import { ggufArchitecture } from './architecture.ts';

/** Where GGUF keeps a tensor of a Hugging Face model, and in which form. */
export interface TensorPlace {
  name: string;
  /** Rows of each head are stored so that what is rotated as a pair lies together; null: rows stay where they are. */
  headDim: number | null;
  /** Added to every number: Gemma's norms are stored with their 1. */
  offset: 0 | 1;
}

const modules: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.qkv_proj': 'attn_qkv',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  // Phi-3's gate and up lie in one matrix, and llama.cpp looks for it here.
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  input_layernorm: 'attn_norm',
};
/** Llama calls the norm before its MLP by its place after attention. */
const before = { post_attention_layernorm: 'ffn_norm' } as const;
const both = {
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
} as const;
const outside: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
};

/**
 * @param name as in a Hugging Face model with its output layer, `model.layers.0.self_attn.q_proj.weight`
 * @throws Error for a tensor that no decoder of the families has
 */
export function tensorPlace(config: DecoderConfig, name: string): TensorPlace {
  const { pairsNeighbours } = ggufArchitecture(config);
  const [, path = '', suffix = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const offset = config.normGainOffset === 1 && path.endsWith('norm') ? 1 : 0;
  if (Object.hasOwn(outside, path)) return { name: `${outside[path]}.${suffix}`, headDim: null, offset };
  const [, layer, module = ''] = /^model\.layers\.(\d+)\.(.*)$/.exec(path) ?? [];
  const names: Readonly<Record<string, string>> = {
    ...modules,
    ...(config.normPlacement === 'both' ? both : before),
  };
  if (layer === undefined || !Object.hasOwn(names, module)) throw new Error(`GGUF has no place for ${name}`);
  const isRotated = module === 'self_attn.q_proj' || module === 'self_attn.k_proj';
  return {
    name: `blk.${layer}.${names[module]}.${suffix}`,
    headDim: pairsNeighbours && isRotated ? config.headDim : null,
    offset,
  };
}

/** The name of a tensor of the file in a Hugging Face model; null: it is none of the model's weights. */
export function huggingFaceName(config: DecoderConfig, name: string): string | null {
  const [, path = '', suffix = ''] = /^(.*)\.(weight|bias)$/.exec(name) ?? [];
  const whole = Object.keys(outside).find((known) => outside[known] === path);
  if (whole !== undefined) return `${whole}.${suffix}`;
  const [, layer, stored] = /^blk\.(\d+)\.(.*)$/.exec(path) ?? [];
  const names: Readonly<Record<string, string>> = {
    ...modules,
    ...(config.normPlacement === 'both' ? both : before),
  };
  const found = Object.keys(names).filter((module) => names[module] === stored);
  const module = found.find((known) => known.includes('gate_up') === config.fusedProjections) ?? found[0];
  return layer === undefined || module === undefined ? null : `model.layers.${layer}.${module}.${suffix}`;
}

/**
 * The row of the Hugging Face tensor that a row of the file is: of a head's two halves, whose numbers are rotated in
 * pairs, one number after the other. Rows of a block of whole heads stay within it.
 */
export function sourceRow(fileRow: number, headDim: number): number {
  const inHead = fileRow % headDim;
  return fileRow - inHead + (inHead % 2) * (headDim / 2) + (inHead >> 1);
}

/**
 * The rows of a matrix in the order of the file, or back from it.
 * @param rows so many numbers each, of whole heads
 */
export function reordered(
  values: Float32Array,
  { headDim, rowLength, direction }: { headDim: number; rowLength: number; direction: 'toFile' | 'fromFile' },
): Float32Array {
  const out = new Float32Array(values.length);
  for (let row = 0; row < values.length / rowLength; row++) {
    const source = sourceRow(row, headDim);
    const [from, to] = direction === 'toFile' ? [source, row] : [row, source];
    out.set(values.subarray(from * rowLength, (from + 1) * rowLength), to * rowLength);
  }
  return out;
}
