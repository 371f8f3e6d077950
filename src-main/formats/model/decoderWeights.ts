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

/** Names of what stands beside quantized weights, by GPTQ, AWQ, FP8, bitsandbytes and compressed-tensors. */
const quantizedTensor =
  /\.(qweight|qzeros|g_idx|scales|weight_scale(_inv)?|weight_packed|weight_zero_point|SCB|absmax|quant_map)$/;

/**
 * Weights must be what config.json says, neither less nor more: transformers computes without tensors that it does not
 * know, and says so in its log alone.
 * @throws StudioError model_invalid: a tensor is missing, has another shape than config.json says, or is one that
 * config.json denies; model_unsupported: quantized weights
 */
export function checkWeights(config: DecoderConfig, weights: WeightFolder): void {
  const expected = expectedWeights(config);
  const { names } = weights;
  const quantized = names.find(
    (name) => quantizedTensor.test(name) || (expected.has(name) && !isFloat(weights.info(name)!.dtype)),
  );
  if (quantized !== undefined)
    throw new StudioError(
      'model_unsupported',
      `The weights are quantized: tensor ${quantized} is stored as ${weights.info(quantized)!.dtype}, and config.json does not say how.`,
      'Choose the unquantized model that they were made from: F32, BF16 and F16 can be read.',
    );
  const extra = names.find((name) => name.startsWith('model.') && !expected.has(name) && !isDerived(name));
  for (const [name, shape] of expected) {
    const info = weights.info(name);
    if (!info) throw lacking(name, shape, config, weights);
    if (info.shape.join() !== shape.join())
      throw invalid(
        `Tensor ${name} is [${info.shape.join()}]; config.json makes it [${shape.join()}].`,
        'Take config.json and the weights from the same model.',
      );
  }
  if (extra !== undefined) throw denied(extra, config);
}

function invalid(message: string, remedy: string): StudioError {
  return new StudioError('model_invalid', message, remedy);
}

/** Older files keep the frequencies of the rotary embedding, which follow from config.json. */
function isDerived(name: string): boolean {
  return /rotary_emb\.(inv_freq|cos_cached|sin_cached)$|\.masked_bias$/.test(name);
}

function isFloat(dtype: string): boolean {
  return ['F32', 'BF16', 'F16'].includes(dtype);
}

/** Names both statements where a tensor is missing. */
function lacking(
  name: string,
  shape: readonly number[],
  config: DecoderConfig,
  weights: WeightFolder,
): StudioError {
  const embedding = weights.names.find((other) => other.endsWith('embed_tokens.weight'));
  if (name === 'model.embed_tokens.weight' && embedding !== undefined)
    return invalid(
      `The weights are named as those within another module: ${embedding} is to be ${name}.`,
      'Save the language model itself: with PEFT, merge_and_unload() before save_pretrained(); otherwise rename the tensors.',
    );
  if (name === 'lm_head.weight')
    return invalid(
      'config.json says that lm_head is no copy of the embedding (tie_word_embeddings is false or absent), and the weights lack lm_head.weight.',
      'Set tie_word_embeddings to true in config.json if the model shares them, or take weights with the output layer.',
    );
  const layers = weights.names.flatMap((other) => /^model\.layers\.(\d+)\./.exec(other)?.[1] ?? []);
  const stored = layers.reduce((most, layer) => Math.max(most, 1 + Number(layer)), 0);
  if (stored < config.layers && name.startsWith(`model.layers.${stored}.`))
    return invalid(
      `config.json says num_hidden_layers ${config.layers}; the weights have ${stored} layers.`,
      'Take config.json and the weights from the same model, and all shards of it.',
    );
  return invalid(
    `The weights lack the tensor ${name} [${shape.join()}].`,
    'Take config.json and the weights from the same model, and all shards of it.',
  );
}

/** Names both statements where the weights have what config.json denies. */
function denied(name: string, config: DecoderConfig): StudioError {
  const layer = Number(/^model\.layers\.(\d+)\./.exec(name)?.[1]);
  const says =
    layer >= config.layers
      ? `num_hidden_layers ${config.layers}`
      : `model_type ${config.family}${name.endsWith('.bias') ? ' without that bias' : ''}, which has no such tensor`;
  return invalid(
    `The weights have ${name}, but config.json says ${says}: one of them is wrong, and transformers would leave the tensor out.`,
    'Take config.json and the weights from the same model, or remove the tensor if it is to count for nothing.',
  );
}
