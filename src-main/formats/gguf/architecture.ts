import { StudioError } from '../../contract/errors.ts';
import { ggufFamilies, isGgufFamily, type GgufFamily } from '../../shape/ggufFamilies.ts';
import { dependsOnLength, type DecoderConfig, type Rope } from '../families/decoderConfig.ts';
import type { GgufEntry } from './writeGguf.ts';

/** How llama.cpp calls a family of decoders, and what its graph of it fixes (src/models/ of llama.cpp). */
interface Architecture {
  name: string;
  /** Neighbours of a head are rotated as pairs: rows of q and k are stored in that order. */
  pairsNeighbours: boolean;
  /** Biases that its graph adds where the file has them. */
  biases: 'all' | 'queryKeyValue' | 'none';
  /** Its layers may have an attention window; the others see the whole text. */
  hasWindows: boolean;
  /** Layers that have no window, or are not rotated, by its own rule. */
  slides?: (layer: number) => boolean;
  rotates?: (layer: number) => boolean;
  /** Kinds of rope scaling beside none, linear and yarn. */
  ropes: readonly ('llama3' | 'longrope')[];
  /** The number of layers at which scores are scaled by the mean width of a head and not by its own. */
  meanHeadLayers?: number;
  /** The output layer is always the embedding. */
  isTied?: boolean;
}

const llama: Architecture = {
  name: 'llama',
  pairsNeighbours: true,
  biases: 'all',
  hasWindows: false,
  ropes: ['llama3', 'longrope'],
};
const plain = { pairsNeighbours: false, biases: 'none', hasWindows: false, ropes: [] } as const;

/** By `model_type` of config.json. */
const architectures: Readonly<Record<GgufFamily, Architecture>> = {
  llama,
  mistral: llama,
  qwen2: { ...plain, name: 'qwen2', biases: 'queryKeyValue' },
  qwen3: { ...plain, name: 'qwen3' },
  gemma: { ...plain, name: 'gemma', isTied: true },
  gemma2: {
    ...plain,
    name: 'gemma2',
    hasWindows: true,
    slides: (layer) => layer % 2 === 0,
    meanHeadLayers: 46,
    isTied: true,
  },
  gemma3_text: {
    ...plain,
    name: 'gemma3',
    hasWindows: true,
    slides: (layer) => layer % 6 < 5,
    meanHeadLayers: 62,
  },
  phi3: { ...plain, name: 'phi3', ropes: ['longrope'] },
  smollm3: {
    ...llama,
    name: 'smollm3',
    biases: 'none',
    rotates: (layer) => (layer + 1) % 4 !== 0,
    ropes: [],
  },
};

/** What GGUF calls a decoder, and where llama.cpp computes something else in long texts. */
export interface GgufArchitecture {
  name: string;
  pairsNeighbours: boolean;
  /** Sentences for those who get the file; empty where all texts are computed alike. */
  notes: string[];
}

/**
 * The architecture under which llama.cpp computes what a decoder computes.
 * @throws StudioError model_unsupported where it has none, or its graph lacks something that the decoder has
 */
export function ggufArchitecture(config: DecoderConfig): GgufArchitecture {
  const own = architectureOf(config);
  const problem = problemOf(own, config);
  if (problem !== null) throw unsupported(`llama.cpp's ${own.name} ${problem}.`);
  return { name: own.name, pairsNeighbours: own.pairsNeighbours, notes: notesOf(own, config) };
}

function architectureOf({ family }: DecoderConfig): Architecture {
  if (isGgufFamily(family)) return architectures[family];
  throw unsupported(`GGUF files are not written for ${family}; they are for ${ggufFamilies.join(', ')}.`);
}

function unsupported(message: string): StudioError {
  return new StudioError(
    'model_unsupported',
    message,
    'Export the Hugging Face folder instead: transformers computes all of it.',
  );
}

/** What the architecture lacks, as the end of a sentence; null: nothing. */
function problemOf(own: Architecture, config: DecoderConfig): string | null {
  const { headDim, hiddenSize, heads, layers, layerKinds, ropes } = config;
  const meanHead = own.meanHeadLayers === layers ? Math.trunc(hiddenSize / heads) : headDim;
  if (Math.abs(config.attentionScale * Math.sqrt(meanHead) - 1) > 1e-6)
    return `scales scores by 1 / sqrt(${meanHead}), and this model by ${config.attentionScale}`;
  const { queryKeyValueBias, outputBias, mlpBias } = config;
  const hasOther = outputBias || mlpBias;
  if ((own.biases !== 'all' && hasOther) || (own.biases === 'none' && queryKeyValueBias))
    return 'has no such biases as this model';
  if (own.isTied && !config.tieEmbeddings) return 'has no output layer of its own, as this model has';
  if (own.name === 'phi3' && heads * headDim !== hiddenSize) return 'has no heads of another width';
  const { rotates, slides } = own;
  const unlike = layerKinds.findIndex(
    ({ rope, window }, layer) =>
      (rope !== null) !== (rotates?.(layer) ?? true) ||
      (slides !== undefined && (window !== null) !== slides(layer)),
  );
  if (unlike >= 0) return `computes layer ${unlike} otherwise than this model (window or positions)`;
  const rope = ropes.map(({ scaling }) => scaling?.type).find((type) => !knowsRope(own, type));
  if (rope !== undefined) return `has no rope scaling ${rope}`;
  return yarnProblem(ropes[0]!);
}

function knowsRope(own: Architecture, type: NonNullable<Rope['scaling']>['type'] | undefined): boolean {
  return type === 'llama3' || type === 'longrope' ? own.ropes.includes(type) : true;
}

/** llama.cpp finds the factor on cos and sin from the scaling, and rounds the ramp's ends. */
function yarnProblem({ scaling }: Rope): string | null {
  if (scaling?.type !== 'yarn') return null;
  const usual = 0.1 * Math.log(scaling.factor) + 1;
  return Math.abs(scaling.attentionFactor - usual) > 1e-6 || !scaling.truncate
    ? 'has yarn with its usual attention factor and rounded ends alone'
    : null;
}

function notesOf(own: Architecture, { layerKinds, ropes }: DecoderConfig): string[] {
  const notes: string[] = [];
  const least = layerKinds.reduce((most, { window }) => Math.min(most, window ?? Infinity), Infinity);
  if (!own.hasWindows && least < Infinity)
    notes.push(
      `llama.cpp knows no attention window for ${own.name}: it computes texts of more than ${least} tokens otherwise than transformers and the studio.`,
    );
  const scaling = ropes.find(dependsOnLength)?.scaling;
  if (scaling?.type === 'dynamic')
    notes.push(
      `llama.cpp has no dynamic rope scaling: it computes texts of more than ${scaling.originalContext} tokens otherwise.`,
    );
  if (scaling?.type === 'longrope')
    notes.push(
      `llama.cpp takes the long factors wherever its context is larger than ${scaling.originalContext} tokens, however short the text is.`,
    );
  return notes;
}

/** The keys that say how large the model is and how its graph is set. */
export function architectureEntries(config: DecoderConfig): GgufEntry[] {
  const { name } = ggufArchitecture(config);
  const u32 = (key: string, value: number): GgufEntry => ({ key: `${name}.${key}`, type: 'u32', value });
  const f32 = (key: string, value: number): GgufEntry => ({ key: `${name}.${key}`, type: 'f32', value });
  const window = config.layerKinds.find((kind) => kind.window !== null)?.window ?? null;
  const [rope, slidingRope] = config.ropes;
  return [
    u32('block_count', config.layers),
    u32('context_length', config.contextLength),
    u32('embedding_length', config.hiddenSize),
    u32('feed_forward_length', config.intermediateSize),
    u32('vocab_size', config.vocabularySize),
    u32('attention.head_count', config.heads),
    u32('attention.head_count_kv', config.keyValueHeads),
    u32('attention.key_length', config.headDim),
    u32('attention.value_length', config.headDim),
    f32('attention.layer_norm_rms_epsilon', config.rmsEpsilon),
    ...(window === null || !architectureOf(config).hasWindows
      ? []
      : [u32('attention.sliding_window', window)]),
    ...(config.attentionSoftcap === null ? [] : [f32('attn_logit_softcapping', config.attentionSoftcap)]),
    ...(config.finalSoftcap === null ? [] : [f32('final_logit_softcapping', config.finalSoftcap)]),
    u32('rope.dimension_count', rope!.dimensions),
    f32('rope.freq_base', rope!.theta),
    ...(slidingRope ? [f32('rope.freq_base_swa', slidingRope.theta)] : []),
    ...ropeEntries(rope!, { u32, f32, name }),
  ];
}

type Make = (key: string, value: number) => GgufEntry;

function ropeEntries(
  { scaling }: Rope,
  { u32, f32, name }: { u32: Make; f32: Make; name: string },
): GgufEntry[] {
  const kind = (value: string): GgufEntry => ({ key: `${name}.rope.scaling.type`, type: 'string', value });
  switch (scaling?.type) {
    case 'linear':
      return [kind('linear'), f32('rope.scaling.factor', scaling.factor)];
    case 'yarn':
      return [
        kind('yarn'),
        f32('rope.scaling.factor', scaling.factor),
        u32('rope.scaling.original_context_length', scaling.originalContext),
        f32('rope.scaling.yarn_beta_fast', scaling.betaFast),
        f32('rope.scaling.yarn_beta_slow', scaling.betaSlow),
      ];
    case 'longrope':
      return [
        kind('longrope'),
        u32('rope.scaling.original_context_length', scaling.originalContext),
        f32('rope.scaling.attn_factor', scaling.attentionFactor),
      ];
    default:
      return [];
  }
}

/**
 * The tensors by which llama.cpp divides the frequencies of a scaled rope: none, one for Llama 3's, two for longrope.
 */
export function ropeFactors({ ropes }: DecoderConfig): { name: string; values: Float32Array }[] {
  const { dimensions, theta, scaling } = ropes[0]!;
  if (scaling?.type === 'longrope')
    return [
      { name: 'rope_factors_long.weight', values: Float32Array.from(scaling.longFactors) },
      { name: 'rope_factors_short.weight', values: Float32Array.from(scaling.shortFactors) },
    ];
  if (scaling?.type !== 'llama3') return [];
  return [{ name: 'rope_freqs.weight', values: llama3Factors(scaling, { theta, dimensions }) }];
}

/** By what Llama 3 divides the frequencies of its rope. */
export function llama3Factors(
  scaling: {
    factor: number;
    lowFrequencyFactor: number;
    highFrequencyFactor: number;
    originalContext: number;
  },
  { theta, dimensions }: { theta: number; dimensions: number },
): Float32Array {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  return Float32Array.from({ length: dimensions / 2 }, (_, i) => {
    const turns = originalContext / (2 * Math.PI * theta ** ((2 * i) / dimensions));
    if (turns > high) return 1;
    if (turns < low) return factor;
    const smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}
