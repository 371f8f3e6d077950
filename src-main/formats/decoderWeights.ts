import { StudioError } from '../contract/errors.ts';
import type { DecoderConfig } from './decoderConfig.ts';
import type { WeightFolder } from './weightFolder.ts';

/** Name (Hugging Face) and shape of every tensor that a decoder of this configuration has. */
export function expectedWeights(config: DecoderConfig): Map<string, readonly number[]> {
  const { hiddenSize: h, intermediateSize: i, heads, keyValueHeads, headDim, vocabularySize } = config;
  const [qOut, kvOut] = [heads * headDim, keyValueHeads * headDim];
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [vocabularySize, h]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    const linear = (name: string, dOut: number, dIn: number, bias: boolean) => {
      shapes.set(`${at}.${name}.weight`, [dOut, dIn]);
      if (bias) shapes.set(`${at}.${name}.bias`, [dOut]);
    };
    linear('self_attn.q_proj', qOut, h, config.queryKeyValueBias);
    linear('self_attn.k_proj', kvOut, h, config.queryKeyValueBias);
    linear('self_attn.v_proj', kvOut, h, config.queryKeyValueBias);
    linear('self_attn.o_proj', h, qOut, config.outputBias);
    linear('mlp.gate_proj', i, h, config.mlpBias);
    linear('mlp.up_proj', i, h, config.mlpBias);
    linear('mlp.down_proj', h, i, config.mlpBias);
    shapes.set(`${at}.input_layernorm.weight`, [h]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [h]);
    if (config.queryKeyNorm)
      for (const norm of ['q_norm', 'k_norm']) shapes.set(`${at}.self_attn.${norm}.weight`, [headDim]);
  }
  shapes.set('model.norm.weight', [h]);
  if (!config.tieEmbeddings) shapes.set('lm_head.weight', [vocabularySize, h]);
  return shapes;
}

/** @throws StudioError model_invalid: a tensor is missing, has another shape than config.json says or is no float */
export function checkWeights(config: DecoderConfig, weights: WeightFolder): void {
  const fail = (message: string) =>
    new StudioError(
      'model_invalid',
      message,
      'config.json and the weights do not belong together, or the download is incomplete: get the model again.',
    );
  for (const [name, shape] of expectedWeights(config)) {
    const info = weights.info(name);
    if (!info) throw fail(`The weights lack the tensor ${name} [${shape.join()}].`);
    if (info.shape.join() !== shape.join())
      throw fail(`Tensor ${name} is [${info.shape.join()}]; config.json makes it [${shape.join()}].`);
    if (!['F32', 'BF16', 'F16'].includes(info.dtype))
      throw fail(`Tensor ${name} is stored as ${info.dtype}; F32, BF16 and F16 can be read.`);
  }
}
