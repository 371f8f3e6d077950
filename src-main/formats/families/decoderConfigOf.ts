import { StudioError } from '../../contract/errors.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import type { Activation, DecoderConfig, LayerKind } from './decoderConfig.ts';
import { invalidConfig, slidingType, wholeType, type ConfigKeys, type FamilyRules } from './family.ts';
import { families } from './registry.ts';
import { readRope } from './ropeConfig.ts';

/** What only the files beside config.json tell. */
export interface BesideConfig {
  /** Whether the weights have an output layer that is not the embedding: asked where config.json ties the two. */
  hasOwnHead(): boolean;
  /** End ids of generation_config.json, which go before those of config.json; null: it names none. */
  generationEndIds: readonly number[] | null;
}

/**
 * What a config.json says by the rules of its family, and the sizes that follow.
 * @param raw of a family of the registry
 * @throws StudioError model_invalid: missing or impossible values; model_unsupported
 */
export function readFamily(raw: Readonly<Record<string, unknown>>): {
  keys: ConfigKeys;
  rules: FamilyRules;
  shape: ModelShape;
} {
  const { keys, rules } = families[raw['model_type'] as string]!.read(raw);
  const heads = keys.num_attention_heads;
  // An absent key has the family's default; null means as many as heads.
  const keyValueHeads =
    (keys.num_key_value_heads === undefined ? rules.keyValueHeads : keys.num_key_value_heads) ?? heads;
  if (heads % keyValueHeads !== 0)
    throw invalidConfig(`${heads} attention heads are no multiple of ${keyValueHeads} key/value heads`);
  const headDim = keys.head_dim ?? rules.headDim ?? keys.hidden_size / heads;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0)
    throw invalidConfig(`the head size ${headDim} must be an even whole number`);
  const shape = {
    hiddenSize: keys.hidden_size,
    intermediateSize: keys.intermediate_size,
    layers: keys.num_hidden_layers,
    heads,
    keyValueHeads,
    headDim,
    vocabularySize: keys.vocab_size,
    tieEmbeddings: keys.tie_word_embeddings ?? rules.tieEmbeddings,
    queryKeyValueBias: rules.queryKeyValueBias,
    outputBias: rules.outputBias,
    mlpBias: rules.mlpBias,
    queryKeyNorm: rules.queryKeyNorm,
    normPlacement: rules.normPlacement,
    fusedProjections: rules.fusedProjections,
    ...(hasPlainNf4Scales(raw['quantization_config']) && { hasPlainNf4Scales: true }),
  };
  return { keys, rules, shape };
}

/** Whether bitsandbytes stored weights in NF4 without quantizing their scales; as transformers, that is its default. */
function hasPlainNf4Scales(stated: unknown): boolean {
  const { load_in_4bit, bnb_4bit_quant_type, bnb_4bit_use_double_quant } = (stated ?? {}) as Record<
    string,
    unknown
  >;
  return load_in_4bit === true && bnb_4bit_quant_type === 'nf4' && bnb_4bit_use_double_quant !== true;
}

/**
 * Reads the text of a config.json, as transformers 5 does.
 * @throws StudioError as `readFamily` does; model_unsupported: an option that the engine lacks
 */
export function decoderConfigOf(
  raw: Readonly<Record<string, unknown>>,
  beside: BesideConfig = { hasOwnHead: () => false, generationEndIds: null },
): DecoderConfig {
  const { keys, rules, shape } = readFamily(raw);
  return {
    family: raw['model_type'] as string,
    ...shape,
    ...readLayers(keys, rules, shape.headDim),
    rmsEpsilon: keys.rms_norm_eps ?? rules.rmsEpsilon,
    normGainOffset: rules.normGainOffset,
    activation: activation(rules),
    embeddingScale: rules.embeddingScale,
    roundsEmbeddingScale: rules.roundsEmbeddingScale,
    residualScale: rules.residualScale,
    attentionScale: rules.attentionScale ?? shape.headDim ** -0.5,
    attentionSoftcap: rules.attentionSoftcap,
    logitScale: rules.logitScale,
    finalSoftcap: rules.finalSoftcap,
    tieEmbeddings: shape.tieEmbeddings && !beside.hasOwnHead(),
    bosId: firstId(keys.bos_token_id),
    eosIds: beside.generationEndIds ?? idsOf(keys.eos_token_id),
    padId: firstId(keys.pad_token_id),
  };
}

/** Attention window and rotary embedding of every layer, and the positions that can be used. */
function readLayers(
  keys: ConfigKeys,
  rules: FamilyRules,
  headDim: number,
): Pick<DecoderConfig, 'ropes' | 'layerKinds' | 'contextLength'> {
  const contextLength = keys.max_position_embeddings ?? rules.contextLength;
  // transformers looks beside the rope's keys only where these are those of all layers.
  const beside = rules.ropes.length === 1 ? keys.original_max_position_embeddings : null;
  const originalContext = beside ?? rules.originalContext;
  const ropes = rules.ropes.map((rope) => readRope({ ...rope, headDim, contextLength, originalContext }));
  const layerKinds = layersThatSlide(keys, rules).map((slides, layer): LayerKind => {
    if (slides && rules.window === null)
      throw invalidConfig(`layer ${layer} is of type ${slidingType}, but there is no sliding_window`);
    const rope = slides ? ropes.length - 1 : 0;
    return { window: slides ? rules.window : null, rope: rules.rotates(layer, slides) ? rope : null };
  });
  // Dynamic scaling is made for texts beyond the original context: up to factor times as long.
  const stretch = ropes.reduce(
    (least, { scaling }) => Math.min(least, scaling?.type === 'dynamic' ? scaling.factor : 1),
    Infinity,
  );
  return { ropes, layerKinds, contextLength: Math.floor(contextLength * stretch) };
}

/** For every layer whether it has a window. */
function layersThatSlide(
  { num_hidden_layers: count, layer_types: types }: ConfigKeys,
  rules: FamilyRules,
): readonly boolean[] {
  if (!types || !rules.readsLayerTypes)
    return Array.from({ length: count }, (_, layer) => rules.slides(layer));
  if (types.length < count) throw invalidConfig(`layer_types names ${types.length} layers of ${count}`);
  const unknown = types.find((type) => type !== slidingType && type !== wholeType);
  if (unknown !== undefined)
    throw new StudioError(
      'model_unsupported',
      `Layers of type ${JSON.stringify(unknown)} are not supported.`,
      `Supported are ${wholeType} and ${slidingType}.`,
    );
  return types.slice(0, count).map((type) => type === slidingType);
}

/** Names that transformers gives to the activations which the graph computes. */
const activations: Readonly<Record<string, Activation>> = {
  silu: 'silu',
  swish: 'silu',
  gelu_pytorch_tanh: 'geluTanh',
};

function activation(rules: FamilyRules): Activation {
  const known = activations[rules.activation];
  if (known) return known;
  throw new StudioError(
    'model_unsupported',
    `The activation "${rules.activation}" is not supported.`,
    `Supported are ${Object.keys(activations).join(', ')}.`,
  );
}

/** Ids that a key of config.json names; a negative one says that there is none. */
export function idsOf(value: number | number[] | null | undefined): number[] {
  const ids = value == null ? [] : Array.isArray(value) ? value : [value];
  return [...new Set(ids.filter((id) => id >= 0))];
}

function firstId(value: number | number[] | null | undefined): number | null {
  return idsOf(value)[0] ?? null;
}
