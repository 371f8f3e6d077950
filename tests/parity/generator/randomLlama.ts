import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeSafetensors } from '../../../src-main/formats/files/safetensors.ts';
import { createRandom } from '../../../src-main/statistics/random.ts';

/**
 * A small Llama of random weights, the same on every machine, with a real tokenizer (Phi-3's 32,011 entries): what
 * benchmarks.py scores is written by the same function as what the studio scores, so that no weights are kept.
 *
 * Usage: node tests/parity/generator/randomLlama.ts FOLDER PHI3_TOKENIZER_FOLDER
 */
export function writeRandomLlama(folder: string, tokenizer: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tokenizer, name), join(folder, name));
  const { hidden_size, intermediate_size, vocab_size, head_dim } = config;
  const keys = config.num_key_value_heads * head_dim;
  const layer = {
    'self_attn.q_proj': [hidden_size, hidden_size],
    'self_attn.k_proj': [keys, hidden_size],
    'self_attn.v_proj': [keys, hidden_size],
    'self_attn.o_proj': [hidden_size, hidden_size],
    'mlp.gate_proj': [intermediate_size, hidden_size],
    'mlp.up_proj': [intermediate_size, hidden_size],
    'mlp.down_proj': [hidden_size, intermediate_size],
    input_layernorm: [hidden_size],
    post_attention_layernorm: [hidden_size],
  };
  const shapes: Record<string, number[]> = {
    'model.embed_tokens.weight': [vocab_size, hidden_size],
    'model.norm.weight': [hidden_size],
    'lm_head.weight': [vocab_size, hidden_size],
  };
  for (let i = 0; i < config.num_hidden_layers; i++)
    for (const [name, shape] of Object.entries(layer)) shapes[`model.layers.${i}.${name}.weight`] = shape;
  const random = createRandom(20);
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const elements = shape.reduce((product, size) => product * size, 1);
    const values = Float32Array.from({ length: elements }, () => random.next() - 0.5);
    // Wide enough that tokens differ in their likelihood by several nats, as those of a trained model do.
    const columns = shape[1];
    const scale =
      columns === undefined ? 0.2 : (6 * (name === 'lm_head.weight' ? 1.5 : 1)) / Math.sqrt(columns);
    for (let i = 0; i < elements; i++) values[i] = values[i]! * scale + (columns === undefined ? 1 : 0);
    return { name, dtype: 'F32' as const, shape, data: () => new Uint8Array(values.buffer) };
  });
  writeSafetensors(join(folder, 'model.safetensors'), tensors);
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
}

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  hidden_act: 'silu',
  max_position_embeddings: 2048,
  vocab_size: 32_064,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  tie_word_embeddings: false,
  bos_token_id: 1,
  eos_token_id: 32_000,
  pad_token_id: 32_000,
  torch_dtype: 'float32',
};

if (import.meta.main) {
  const [folder, tokenizer] = process.argv.slice(2);
  if (folder === undefined || tokenizer === undefined)
    throw new Error('usage: node tests/parity/generator/randomLlama.ts FOLDER PHI3_TOKENIZER_FOLDER');
  writeRandomLlama(folder, tokenizer);
}
