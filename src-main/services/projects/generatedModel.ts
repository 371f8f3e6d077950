import { mkdirSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom } from '../../statistics/random.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { writeSafetensors } from '../../formats/files/safetensors.ts';
import type { Dataset, Model } from '../../contract/entities.ts';
import type { DatasetService } from '../data/datasetService.ts';
import type { HomePaths } from '../homePaths.ts';
import type { ModelService } from '../models/models.ts';

/** Sizes of the generated model: large enough to learn sums of digits, small enough for seconds of training. */
const sizes = { hidden: 64, intermediate: 160, layers: 2, heads: 4, keyValueHeads: 2, context: 128 };
const characters = [
  '<unk>',
  '<s>',
  '</s>',
  ...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)),
  'Ġ',
  'Ċ',
];

/**
 * Writes a small Llama with random weights and a tokenizer of single characters into `folder`: what the demo trains on
 * where no real model is at hand. Deterministic.
 */
export function writeGeneratedModel(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const { hidden, intermediate, layers, heads, keyValueHeads, context } = sizes;
  const vocabulary = characters.length;
  const headDim = hidden / heads;
  const random = createRandom(1);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const tensors: { name: string; shape: number[]; data: Float32Array }[] = [];
  const add = (name: string, shape: number[], value: () => number) =>
    tensors.push({
      name,
      shape,
      data: Float32Array.from({ length: shape.reduce((n, s) => n * s, 1) }, value),
    });
  const linear = (name: string, dOut: number, dIn: number) =>
    add(`${name}.weight`, [dOut, dIn], () => normal() / Math.sqrt(dIn));
  add('model.embed_tokens.weight', [vocabulary, hidden], normal);
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    linear(`${at}.self_attn.q_proj`, hidden, hidden);
    linear(`${at}.self_attn.k_proj`, keyValueHeads * headDim, hidden);
    linear(`${at}.self_attn.v_proj`, keyValueHeads * headDim, hidden);
    linear(`${at}.self_attn.o_proj`, hidden, hidden);
    linear(`${at}.mlp.gate_proj`, intermediate, hidden);
    linear(`${at}.mlp.up_proj`, intermediate, hidden);
    linear(`${at}.mlp.down_proj`, hidden, intermediate);
    for (const norm of ['input_layernorm', 'post_attention_layernorm'])
      add(`${at}.${norm}.weight`, [hidden], () => 1);
  }
  add('model.norm.weight', [hidden], () => 1);
  linear('lm_head', vocabulary, hidden);
  writeSafetensors(
    join(folder, 'model.safetensors'),
    tensors.map(({ name, shape, data }) => ({
      name,
      shape,
      dtype: 'F32',
      data: new Uint8Array(data.buffer),
    })),
  );
  const write = (name: string, value: unknown) =>
    writeFileAtomic(join(folder, name), `${JSON.stringify(value)}\n`);
  write('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    max_position_embeddings: context,
    vocab_size: vocabulary,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: 2,
    torch_dtype: 'float32',
  });
  write('tokenizer_config.json', { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' });
  write('tokenizer.json', tokenizer());
}

function tokenizer(): unknown {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return {
    version: '1.0',
    added_tokens: characters.slice(0, 3).map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: '<unk>',
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(characters.map((character, id) => [character, id])),
      merges: [],
    },
  };
}

/** Writes sums of two small numbers in GSM8K's layout. Deterministic. */
export function writeGeneratedDataset(path: string, rows: number, seed: number): void {
  const random = createRandom(seed);
  const lines = Array.from({ length: rows }, () => {
    const [a, b] = [random.integer(10), random.integer(10)];
    return JSON.stringify({
      question: `What is ${a} plus ${b}?`,
      answer: `${a} + ${b} = ${a + b}\n#### ${a + b}`,
    });
  });
  writeFileAtomic(path, `${lines.join('\n')}\n`);
}

/** What a first run is made with, without anything to download. */
export interface Starter {
  model: Model;
  dataset: Dataset;
}

/** Adds the studio's own tiny model and dataset to the library; what is there already is used. */
export async function addStarter(
  paths: HomePaths,
  models: ModelService,
  datasets: DatasetService,
): Promise<Starter> {
  const folder = join(paths.home, 'starter');
  const [modelFolder, dataFile] = [join(folder, 'starter-model'), join(folder, 'starter-sums.jsonl')];
  mkdirSync(folder, { recursive: true });
  // The tokenizer is written last: with it the folder is complete.
  if (!existsSync(join(modelFolder, 'tokenizer.json'))) writeGeneratedModel(modelFolder);
  if (!existsSync(dataFile)) writeGeneratedDataset(dataFile, 1000, 1);
  const model =
    models.list().find((known) => known.folder === modelFolder) ?? (await models.getOrAdd(modelFolder));
  const dataset =
    datasets.list().find((known) => known.sourcePath === dataFile) ?? (await datasets.getOrAdd(dataFile));
  return { model, dataset };
}
