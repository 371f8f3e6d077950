import { StudioError } from '../../contract/errors.ts';
import { families } from './registry.ts';

const names = () => Object.keys(families).join(', ');
const remedy = () => `Choose a dense text model with unquantized safetensors weights: ${names()}.`;

/** Architectures that are near to a supported one, and what makes them another: the first that fits counts. */
const reasons: readonly [RegExp, string][] = [
  [
    /mamba|^rwkv|^recurrent|^jamba|^zamba|^bamba|^falcon_h1|^lfm[23]|^qwen3_next|^qwen3_5|hybrid|^nemotron_h|^xlstm|^kimi_linear|^minimax$/,
    'it has recurrent layers',
  ],
  [
    /moe|mixtral|deepseek|^gpt_oss|^dbrx|^jetmoe|^mistral4$|^dots1$|^longcat|^solar_open/,
    'it is a mixture of experts, and the engine computes dense decoders',
  ],
  [
    /^gemma3$|^mistral3$|^paligemma|_vl$|_vl_|^mllama|^llama4|llava|pixtral|vision|omni|multimodal/,
    'it has parts for images or sound',
  ],
  [/^gemma3n|^gemma4/, 'its layers carry embeddings of their own'],
  [/^ministral3/, 'its queries are scaled by their position'],
  [
    /^cohere|^olmo$|^stablelm|^phi$|^nemotron$|^starcoder2|^falcon|^gpt|^bloom|^opt$|^mpt$|^persimmon|^xglm|^jais2/,
    'it normalizes by LayerNorm or runs attention and MLP side by side',
  ],
  [/^glm4?$|^ernie4_5$|^helium$/, 'it rotates neighbouring numbers of a head as pairs, not its halves'],
  [/^arcee$|^apertus|^nanochat/, 'its MLP has no gate'],
  [/^youtu|^minicpm3/, 'its keys and values are compressed (multi-head latent attention)'],
  [/^hunyuan/, 'it normalizes queries and keys after it rotates them'],
  [/^diffllama/, 'it subtracts one attention from another'],
  [/^bitnet/, 'its weights have three values'],
  [/^seed_oss/, 'it trains with dropout within the base'],
  [/^t5|^bart|^mt5|^whisper|^bert|^roberta|^modernbert|^t5gemma/, 'it is no decoder-only language model'],
];

/** What is said of an architecture that nobody has looked at. */
const unchecked = 'the engine computes only architectures that were checked against transformers';

/**
 * Refuses what the engine cannot compute, by name and with the reason, before anything else of config.json is read.
 * Keys that leave the result as it is (pretraining_tp, which once cut products into slices) are let through.
 * @throws StudioError model_unsupported
 */
export function refuseByName(raw: Readonly<Record<string, unknown>>): void {
  const refuse = (message: string, what = remedy()) => {
    throw new StudioError('model_unsupported', message, what);
  };
  refuseArchitecture(raw, refuse);
  refuseQuantized(raw, refuse);
  if (raw['vision_config'] || raw['audio_config']) refuse('The model has parts for images or sound.');
  const experts = raw['num_local_experts'] ?? raw['num_experts'];
  if (typeof experts === 'number' && experts > 1)
    refuse(`The model is a mixture of ${experts} experts; the engine computes dense decoders.`);
  if (raw['use_bidirectional_attention'] === true)
    refuse('use_bidirectional_attention is set: the model is an encoder, no causal language model.');
  if (raw['clip_qkv'] != null)
    refuse(
      `clip_qkv ${JSON.stringify(raw['clip_qkv'])} is set: the engine limits no queries, keys and values.`,
    );
}

/** Each method has its key; MLX writes `quantization`. */
function refuseQuantized(
  raw: Readonly<Record<string, unknown>>,
  refuse: (message: string, remedy?: string) => void,
): void {
  const key = ['quantization_config', 'compression_config', 'quantization'].find((name) => raw[name]);
  if (key === undefined) return;
  const stated = raw[key] as Record<string, unknown>;
  const method = stated['quant_method'];
  // Such weights describe themselves, tensor by tensor (formats/model/bitsandbytes.ts).
  const isDescribed = stated['load_in_4bit'] === true || stated['load_in_8bit'] === true;
  if (method === 'bitsandbytes' && isDescribed) return;
  const by = typeof method === 'string' ? ` by ${method}` : key === 'quantization' ? ' by MLX' : '';
  refuse(
    `The weights are quantized${by} (${key} in config.json).`,
    'Choose the unquantized model that it was made from; training can hold that in 8 or 4 bits (--load-in-8bit, --load-in-4bit).',
  );
}

function refuseArchitecture(
  raw: Readonly<Record<string, unknown>>,
  refuse: (message: string, remedy?: string) => void,
): void {
  const type = raw['model_type'];
  if (typeof type === 'string' && Object.hasOwn(families, type)) return;
  if (type == null || type === '') {
    const inner = Object.keys(raw).find(
      (key) => (raw[key] as Record<string, unknown> | null)?.['model_type'] !== undefined,
    );
    if (inner !== undefined)
      refuse(
        `config.json holds its configuration one level down, as ${JSON.stringify(inner)}.`,
        `Write what stands under ${JSON.stringify(inner)} as the whole of config.json.`,
      );
    const classes = raw['architectures'];
    const named =
      Array.isArray(classes) && typeof classes[0] === 'string' ? `, only the class ${classes[0]}` : '';
    refuse(
      `config.json names no architecture: it has no model_type${named}.`,
      `Take the config.json of the model's publisher, or add its model_type: one of ${names()}.`,
    );
  }
  const known = reasons.find(([pattern]) => typeof type === 'string' && pattern.test(type))?.[1];
  const reason =
    known ?? (raw['auto_map'] ? 'its code comes with the model (auto_map), and is never run' : unchecked);
  refuse(
    `The architecture ${JSON.stringify(type)} is not supported: ${reason}.`,
    type === 'gemma3'
      ? 'Choose a text-only Gemma 3 (model_type gemma3_text), or save the language model alone with transformers (Gemma3ForCausalLM).'
      : remedy(),
  );
}
