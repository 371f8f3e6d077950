import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../formats/files/atomicFile.ts';
import { asStored } from '../formats/files/floats.ts';
import { writeSafetensors, type TensorToWrite } from '../formats/files/safetensors.ts';
import { createRandom } from '../statistics/random.ts';
import { generalTexts } from './texts.ts';
import { learnTokenizer, specialTokens } from './tokenizer.ts';

/** The starter's architecture: a Llama of 3.2 million parameters. */
export const shape = {
  hidden: 256,
  intermediate: 512,
  layers: 5,
  heads: 8,
  keyValueHeads: 4,
  context: 256,
  vocabulary: 1088,
} as const;

/** Of embeddings and linear modules before training (GPT-2's). */
const deviation = 0.02;

/**
 * How a conversation is put: as the benchmarks put a question, so that what was learned through the template is also
 * known where a question is asked without it.
 */
const chatTemplate = `{{- bos_token -}}
{%- for message in messages -%}
  {%- if message.role == 'system' -%}
    {{- message.content + '\\n\\n' -}}
  {%- elif message.role == 'assistant' -%}
    {% generation %}{{- ' ' + message.content + eos_token -}}{% endgeneration %}
    {%- if not loop.last -%}{{- '\\n\\n' -}}{%- endif -%}
  {%- else -%}
    {{- 'Question: ' + message.content + '\\nAnswer:' -}}
  {%- endif -%}
{%- endfor -%}`;

/** What tasks and benchmarks say and texts do not: often enough to become whole tokens. */
const frames = Array.from({ length: 200 }, () =>
  [
    'Question: How many Where Who\nAnswer: First Then\nThen',
    'The following are multiple choice questions (with answers) about colors homes foods.\nA. B. C. D.',
    'def number square length size sum largest smallest first last plus minus times above below equal solve work',
    '(number_square(length(size(sum(largest(smallest(first(last_plus_minus_times_above_below_equal(solve(work',
    ' """Return whether .""" return than that they live',
  ].join('\n'),
);

/** The starter's tokenizer, learned from a part of the texts and from the frames of its tasks. */
export function starterTokenizer(seed: number): Record<string, unknown> {
  return learnTokenizer([...generalTexts(seed, 4000), ...frames], shape.vocabulary);
}

/** Writes a model folder with random weights in bf16. Deterministic. */
export function writeFreshModel(folder: string, seed: number): void {
  mkdirSync(folder, { recursive: true });
  const random = createRandom(seed);
  const tensors: TensorToWrite[] = [];
  const add = (name: string, size: readonly number[], value: () => number) => {
    const values = Float32Array.from({ length: size.reduce((n, s) => n * s, 1) }, value);
    tensors.push({ name: `${name}.weight`, shape: [...size], dtype: 'BF16', data: asStored(values, 'BF16') });
  };
  const normal = (scale: number) => () => scale * random.normal();
  const { hidden, intermediate, layers, heads, keyValueHeads, vocabulary } = shape;
  const keyValues = (hidden / heads) * keyValueHeads;
  // What adds to the residual stream begins smaller: there are two for each layer.
  const inward = deviation / Math.sqrt(2 * layers);
  add('model.embed_tokens', [vocabulary, hidden], normal(deviation));
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    add(`${at}.self_attn.q_proj`, [hidden, hidden], normal(deviation));
    add(`${at}.self_attn.k_proj`, [keyValues, hidden], normal(deviation));
    add(`${at}.self_attn.v_proj`, [keyValues, hidden], normal(deviation));
    add(`${at}.self_attn.o_proj`, [hidden, hidden], normal(inward));
    add(`${at}.mlp.gate_proj`, [intermediate, hidden], normal(deviation));
    add(`${at}.mlp.up_proj`, [intermediate, hidden], normal(deviation));
    add(`${at}.mlp.down_proj`, [hidden, intermediate], normal(inward));
    for (const norm of ['input_layernorm', 'post_attention_layernorm'])
      add(`${at}.${norm}`, [hidden], () => 1);
  }
  add('model.norm', [hidden], () => 1);
  writeSafetensors(join(folder, 'model.safetensors'), tensors);
  const write = (name: string, value: unknown) =>
    writeFileAtomic(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  const ends = { bos_token_id: 1, eos_token_id: 2 };
  write('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads,
    head_dim: hidden / heads,
    hidden_act: 'silu',
    max_position_embeddings: shape.context,
    vocab_size: vocabulary,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    ...ends,
  });
  write('generation_config.json', ends);
  write('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: specialTokens.begin,
    eos_token: specialTokens.end,
    unk_token: specialTokens.unknown,
    model_max_length: shape.context,
    clean_up_tokenization_spaces: false,
    chat_template: chatTemplate,
  });
  writeFileAtomic(join(folder, 'tokenizer.json'), `${JSON.stringify(starterTokenizer(seed))}\n`);
}
