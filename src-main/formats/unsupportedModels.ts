import { StudioError } from '../contract/errors.ts';
import { decoderFamilies } from './decoderConfig.ts';

const remedy = `Choose a dense text model with unquantised safetensors weights: ${decoderFamilies.join(', ')}.`;

/** Architectures that are near to a supported one, and what makes them another. */
const reasons: readonly [RegExp, string][] = [
  [
    /moe|mixtral|deepseek|^gpt_oss|^dbrx|^jetmoe/,
    'it is a mixture of experts, and the engine computes dense decoders',
  ],
  [
    /^gemma3$|^mistral3$|^paligemma|_vl$|_vl_|^mllama|^llama4|llava|pixtral|vision|omni|multimodal/,
    'it has parts for images or sound',
  ],
  [/^gemma3n|^gemma4/, 'its layers carry embeddings of their own'],
  [/^ministral3/, 'its queries are scaled by their position'],
  [
    /^cohere|^olmo$|^stablelm|^phi$|^nemotron$|^starcoder2|^falcon|^gpt|^bloom|^opt$|^mpt$/,
    'it normalises by LayerNorm or runs attention and MLP side by side',
  ],
  [
    /mamba|^rwkv|^recurrent|^jamba|^zamba|^bamba|^falcon_h1|^lfm2|^qwen3_next|hybrid/,
    'it has recurrent layers',
  ],
  [/^t5|^bart|^mt5|^whisper|^bert|^roberta|^t5gemma/, 'it is no decoder-only language model'],
];

/**
 * Refuses what the engine cannot compute, by name and with the reason, before anything else of config.json is read.
 * @throws StudioError model_unsupported
 */
export function refuseByName(raw: Readonly<Record<string, unknown>>): void {
  const type = raw['model_type'];
  const refuse = (message: string, what = remedy) => {
    throw new StudioError('model_unsupported', message, what);
  };
  if (!(decoderFamilies as readonly unknown[]).includes(type)) {
    const reason =
      typeof type === 'string' ? reasons.find(([pattern]) => pattern.test(type))?.[1] : undefined;
    const rest = reason ? `: ${reason}` : '';
    refuse(
      `The architecture ${JSON.stringify(type)} is not supported${rest}.`,
      type === 'gemma3'
        ? 'Choose a text-only Gemma 3 (model_type gemma3_text), or save the language model alone with transformers (Gemma3ForCausalLM).'
        : remedy,
    );
  }
  if (raw['quantization_config']) refuse('The weights are quantised (quantization_config in config.json).');
  if (raw['vision_config'] || raw['audio_config']) refuse('The model has parts for images or sound.');
  const experts = raw['num_local_experts'] ?? raw['num_experts'];
  if (typeof experts === 'number' && experts > 1)
    refuse(`The model is a mixture of ${experts} experts; the engine computes dense decoders.`);
  if (raw['use_bidirectional_attention'] === true)
    refuse('use_bidirectional_attention is set: the model is an encoder, no causal language model.');
}
