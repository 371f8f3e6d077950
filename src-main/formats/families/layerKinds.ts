import { StudioError } from '../../contract/errors.ts';
import type { ConfigKeys } from './configKeys.ts';
import type { DecoderFamily, LayerKind, Rope } from './decoderConfig.ts';
import { readRope } from './ropeConfig.ts';

const sliding = 'sliding_attention';
const full = 'full_attention';

/** max_position_embeddings where config.json leaves it out. */
const defaultContext: Readonly<Record<DecoderFamily, number>> = {
  llama: 2048,
  mistral: 131_072,
  ministral: 131_072,
  qwen2: 32_768,
  qwen3: 32_768,
  gemma: 8192,
  gemma2: 8192,
  gemma3_text: 131_072,
  phi3: 4096,
  smollm3: 32_768,
  granite: 2048,
  olmo2: 2048,
  olmo3: 2048,
  exaone4: 2048,
};

/**
 * Attention window and rotary embedding of every layer, and the positions that can be used.
 * @throws StudioError model_invalid, model_unsupported
 */
export function readLayers(
  family: DecoderFamily,
  c: ConfigKeys,
  headDim: number,
): { ropes: Rope[]; layerKinds: LayerKind[]; contextLength: number } {
  const types = layerTypes(family, c);
  const window = slidingWindow(family, c);
  const contextLength = c.max_position_embeddings ?? defaultContext[family];
  const common = {
    headDim,
    contextLength,
    originalContext: c.original_max_position_embeddings ?? (family === 'phi3' ? 4096 : null),
  };
  const local = localTheta(family, c);
  const ropes =
    local === null
      ? [singleRope(family, c, common)]
      : pairOfRopes(c, local).map((rope) => readRope({ ...common, ...rope, partialFactor: null }));
  const layerKinds = types.map((type, layer): LayerKind => {
    if (type === sliding && window === null)
      throw invalid(`layer ${layer} is of type ${sliding}, but there is no sliding_window`);
    return {
      window: type === sliding ? window : null,
      rope: local !== null && type === sliding ? 1 : rotates(family, c, layer, type) ? 0 : null,
    };
  });
  // Dynamic scaling is made for texts beyond the original context: up to factor times as long.
  const stretch = Math.min(...ropes.map(({ scaling }) => (scaling?.type === 'dynamic' ? scaling.factor : 1)));
  return { ropes, layerKinds, contextLength: Math.floor(contextLength * stretch) };
}

function singleRope(
  family: DecoderFamily,
  c: ConfigKeys,
  common: { headDim: number; contextLength: number; originalContext: number | null },
): Rope {
  // rope_scaling, where it says something, replaces rope_parameters as a whole.
  const older = c.rope_scaling && Object.keys(c.rope_scaling).length > 0 ? c.rope_scaling : null;
  const parameters = { ...(older ?? c.rope_parameters) };
  if (family === 'phi3') {
    const type = parameters['rope_type'] ?? parameters['type'] ?? 'default';
    // Early Phi-3 files say "su" or "yarn" and mean longrope.
    if (type === 'yarn') parameters['rope_type'] = 'longrope';
    else if (!['default', 'su', 'longrope'].includes(String(type)))
      throw new StudioError(
        'model_unsupported',
        `Phi-3 has no rope scaling ${JSON.stringify(type)}.`,
        'Phi-3 knows default and longrope.',
      );
  }
  const partial = parameters['partial_rotary_factor'] ?? c.partial_rotary_factor;
  return readRope({
    ...common,
    parameters: { ...parameters, partial_rotary_factor: partial },
    theta: c.rope_theta ?? (family === 'smollm3' ? 2_000_000 : 10_000),
    partialFactor: family === 'phi3' ? (typeof partial === 'number' ? partial : 1) : null,
  });
}

/**
 * Thetas of families whose layers with a window have a rope of their own, where no rope names one; null: one rope
 * serves all layers.
 */
function localTheta(family: DecoderFamily, c: ConfigKeys): { global: number; local: number } | null {
  switch (family) {
    case 'gemma3_text':
      return { global: c.rope_theta ?? 1_000_000, local: c.rope_local_base_freq ?? 10_000 };
    case 'olmo3':
      return { global: c.rope_theta ?? 500_000, local: c.rope_theta ?? 500_000 };
    default:
      return null;
  }
}

/** First the rope of full attention, which alone is scaled by rope_scaling, then the local one. */
function pairOfRopes(
  c: ConfigKeys,
  theta: { global: number; local: number },
): { parameters: Record<string, unknown>; theta: number }[] {
  const of = (type: string) => {
    const nested = c.rope_parameters?.[type];
    return typeof nested === 'object' && nested !== null ? { ...nested } : {};
  };
  return [
    { parameters: { ...of(full), ...c.rope_scaling }, theta: theta.global },
    { parameters: of(sliding), theta: theta.local },
  ];
}

function layerTypes(family: DecoderFamily, c: ConfigKeys): readonly string[] {
  const count = c.num_hidden_layers;
  const usesTypes = !['llama', 'mistral', 'gemma', 'phi3', 'granite', 'olmo2'].includes(family);
  if (c.layer_types && usesTypes) {
    if (c.layer_types.length < count)
      throw invalid(`layer_types names ${c.layer_types.length} layers of ${count}`);
    const unknown = c.layer_types.find((type) => type !== sliding && type !== full);
    if (unknown !== undefined)
      throw new StudioError(
        'model_unsupported',
        `Layers of type ${JSON.stringify(unknown)} are not supported.`,
        `Supported are ${full} and ${sliding}.`,
      );
    return c.layer_types.slice(0, count);
  }
  return Array.from({ length: count }, (_, layer) => (slides(family, c, layer) ? sliding : full));
}

/** Whether a layer has a window where config.json names no layer_types. */
function slides(family: DecoderFamily, c: ConfigKeys, layer: number): boolean {
  switch (family) {
    case 'mistral':
    case 'ministral':
    case 'phi3':
      return slidingWindow(family, c) !== null;
    case 'qwen2':
    case 'qwen3':
      return slidingWindow(family, c) !== null && layer >= (c.max_window_layers ?? 28);
    case 'gemma2':
      return layer % 2 === 0;
    case 'gemma3_text':
      return !isNthLayer(c, layer, 6);
    case 'olmo3':
      return (layer + 1) % 4 !== 0;
    case 'exaone4':
      return slidingWindow(family, c) !== null && !isNthLayer(c, layer, 4);
    case 'smollm3':
      return slidingWindow(family, c) !== null && !smolRotates(c, layer);
    case 'llama':
    case 'gemma':
    case 'granite':
    case 'olmo2':
      return false;
    default:
      throw new Error(`unknown family ${String(family satisfies never)}`);
  }
}

/** Whether sliding_window_pattern, which gives every so many-th layer the whole text, means this one. */
function isNthLayer(
  { sliding_window_pattern: pattern }: ConfigKeys,
  layer: number,
  fallback: number,
): boolean {
  const every = pattern ?? fallback;
  if (typeof every === 'number' && every > 0) return (layer + 1) % every === 0;
  throw invalid(
    `sliding_window_pattern ${JSON.stringify(every)} is no number of layers, and there are no layer_types`,
  );
}

/** Null: no layer has a window. An absent sliding_window has the family's default. */
function slidingWindow(family: DecoderFamily, c: ConfigKeys): number | null {
  if (['qwen2', 'qwen3', 'smollm3'].includes(family) && !c.use_sliding_window) return null;
  const fallback = family === 'phi3' || family === 'smollm3' ? null : 4096;
  return c.sliding_window === undefined ? fallback : c.sliding_window;
}

/**
 * Whether q and k of a layer are rotated. SmolLM3 leaves every fourth layer without positions (no_rope_layers: 1 where
 * a layer is rotated), EXAONE 4 those that see the whole text, where others have a window.
 */
function rotates(family: DecoderFamily, c: ConfigKeys, layer: number, type: string): boolean {
  if (family === 'exaone4') return type === sliding || slidingWindow(family, c) === null;
  return family !== 'smollm3' || smolRotates(c, layer);
}

function smolRotates(c: ConfigKeys, layer: number): boolean {
  if (!c.no_rope_layers) return (layer + 1) % (c.no_rope_layer_interval ?? 4) !== 0;
  const flag = c.no_rope_layers[layer];
  if (flag === undefined) throw invalid(`no_rope_layers says nothing of layer ${layer}`);
  return flag !== 0;
}

function invalid(what: string): StudioError {
  return new StudioError(
    'model_invalid',
    `config.json: ${what}.`,
    'Check config.json, or download the model again.',
  );
}
