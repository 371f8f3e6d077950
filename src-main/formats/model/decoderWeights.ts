import { modulePath } from '../../shape/adapterSites.ts';
import { linearModules, moduleSize } from '../../shape/modelShape.ts';
import type { NormPlacement } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { TargetModule } from '../../contract/training.ts';
import type { DecoderConfig } from '../families/decoderConfig.ts';
import type { WeightFolder } from './weightFolder.ts';

/** Name (Hugging Face) and shape of every tensor that a decoder of this configuration has. */
export function expectedWeights(config: DecoderConfig): Map<string, readonly number[]> {
  const { hiddenSize: h, heads, keyValueHeads, headDim, vocabularySize } = config;
  const shapes = new Map<string, readonly number[]>([['model.embed_tokens.weight', [vocabularySize, h]]]);
  const norms = layerNorms(config.normPlacement);
  for (let layer = 0; layer < config.layers; layer++) {
    for (const module of linearModules(config)) {
      const path = modulePath({ layer, module });
      const { dIn, dOut } = moduleSize(config, module);
      shapes.set(`${path}.weight`, [dOut, dIn]);
      if (hasBias(config, module)) shapes.set(`${path}.bias`, [dOut]);
    }
    const at = `model.layers.${layer}`;
    for (const norm of Object.values(norms)) if (norm) shapes.set(`${at}.${norm}.weight`, [h]);
    if (config.queryKeyNorm !== 'none') {
      const widths = config.queryKeyNorm === 'head' ? [1, 1] : [heads, keyValueHeads];
      shapes.set(`${at}.self_attn.q_norm.weight`, [widths[0]! * headDim]);
      shapes.set(`${at}.self_attn.k_norm.weight`, [widths[1]! * headDim]);
    }
  }
  shapes.set('model.norm.weight', [h]);
  if (!config.tieEmbeddings) shapes.set('lm_head.weight', [vocabularySize, h]);
  return shapes;
}

export function hasBias(
  config: Pick<DecoderConfig, 'queryKeyValueBias' | 'outputBias' | 'mlpBias'>,
  module: TargetModule,
): boolean {
  if (module === 'o_proj') return config.outputBias;
  const inAttention = ['q_proj', 'k_proj', 'v_proj', 'qkv_proj'].includes(module);
  return inAttention ? config.queryKeyValueBias : config.mlpBias;
}

export interface LayerNorms {
  beforeAttention: string | null;
  afterAttention: string | null;
  beforeMlp: string | null;
  afterMlp: string | null;
}

/** Names of a layer's norms; Llama calls the norm before its MLP by its place after attention. */
export function layerNorms(placement: NormPlacement): LayerNorms {
  const [input, attention] = ['input_layernorm', 'post_attention_layernorm'];
  const none = { beforeAttention: null, afterAttention: null, beforeMlp: null, afterMlp: null };
  switch (placement) {
    case 'before':
      return { ...none, beforeAttention: input, beforeMlp: attention };
    case 'after':
      return { ...none, afterAttention: attention, afterMlp: 'post_feedforward_layernorm' };
    case 'both':
      return {
        beforeAttention: input,
        afterAttention: attention,
        beforeMlp: 'pre_feedforward_layernorm',
        afterMlp: 'post_feedforward_layernorm',
      };
    default:
      throw new Error(`unknown placement ${String(placement satisfies never)}`);
  }
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
