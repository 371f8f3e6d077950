import type { Model, NormPlacement, QueryKeyNorm } from '../contract/entities.ts';
import { targetModules, type TargetModule } from '../contract/training.ts';
import type { LinearSize } from '../methods/method.ts';

/** The sizes of a decoder that decide its parameter counts. */
export interface ModelShape {
  hiddenSize: number;
  intermediateSize: number;
  layers: number;
  heads: number;
  keyValueHeads: number;
  headDim: number;
  vocabularySize: number;
  /** The output head shares the embedding's weight. */
  tieEmbeddings: boolean;
  queryKeyValueBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  /** RMSNorm of q and k, over each head (Qwen3, Gemma 3, EXAONE 4) or the whole projection (OLMo 2 and 3). */
  queryKeyNorm: QueryKeyNorm;
  /** A layer has two norms, or four where they stand before and after (Gemma 2 and 3). */
  normPlacement: NormPlacement;
  /** q, k, v lie in one matrix qkv_proj and gate, up in gate_up_proj (Phi-3). */
  fusedProjections: boolean;
  /** The folder has NF4 weights whose scales are f32: in 4 bits they are kept with these. Absent: it has not. */
  hasPlainNf4Scales?: boolean | undefined;
}

/** Llama's: what models do that say nothing else. */
const usualLayout = {
  tieEmbeddings: false,
  queryKeyValueBias: false,
  outputBias: false,
  mlpBias: false,
  queryKeyNorm: 'none',
  normPlacement: 'before',
  fusedProjections: false,
} as const satisfies Partial<ModelShape>;

/** The shape of a model of the library. Models added before `architecture` was kept get the usual layout. */
export function modelShape(model: Model): ModelShape {
  const { hiddenSize, intermediateSize, layers, heads, keyValueHeads, vocabularySize } = model;
  return {
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    keyValueHeads,
    vocabularySize,
    headDim: hiddenSize / heads,
    ...usualLayout,
    ...model.architecture,
  };
}

/** The linear modules of a decoder layer, in the order of the forward pass. */
export function linearModules(shape: Pick<ModelShape, 'fusedProjections'>): readonly TargetModule[] {
  return shape.fusedProjections ? ['qkv_proj', 'o_proj', 'gate_up_proj', 'down_proj'] : targetModules;
}

/** W of a linear module is [dOut, dIn]. */
export function moduleSize(shape: ModelShape, module: TargetModule): LinearSize {
  const { hiddenSize, intermediateSize, heads, keyValueHeads, headDim } = shape;
  switch (module) {
    case 'q_proj':
      return { dIn: hiddenSize, dOut: heads * headDim };
    case 'k_proj':
    case 'v_proj':
      return { dIn: hiddenSize, dOut: keyValueHeads * headDim };
    case 'qkv_proj':
      return { dIn: hiddenSize, dOut: (heads + 2 * keyValueHeads) * headDim };
    case 'o_proj':
      return { dIn: heads * headDim, dOut: hiddenSize };
    case 'gate_proj':
    case 'up_proj':
      return { dIn: hiddenSize, dOut: intermediateSize };
    case 'gate_up_proj':
      return { dIn: hiddenSize, dOut: 2 * intermediateSize };
    case 'down_proj':
      return { dIn: intermediateSize, dOut: hiddenSize };
    default:
      throw new Error(`unknown module ${String(module satisfies never)}`);
  }
}

/** Parameters of the base model; a tied head counts once. */
export function baseParameters(shape: ModelShape): number {
  const { hiddenSize: h, intermediateSize: i, headDim } = shape;
  const q = shape.heads * headDim;
  const kv = shape.keyValueHeads * headDim;
  const attention = h * q + 2 * h * kv + q * h;
  const biases =
    (shape.queryKeyValueBias ? q + 2 * kv : 0) + (shape.outputBias ? h : 0) + (shape.mlpBias ? 2 * i + h : 0);
  const queryKeyNorms = { none: 0, head: 2 * headDim, projection: q + kv }[shape.queryKeyNorm];
  const norms = (shape.normPlacement === 'both' ? 4 : 2) * h + queryKeyNorms;
  const embeddings = shape.vocabularySize * h * (shape.tieEmbeddings ? 1 : 2);
  return embeddings + shape.layers * (attention + 3 * h * i + biases + norms) + h;
}

/** Configurations of known models, without weights. */
export const presets: Readonly<Record<string, ModelShape>> = {
  'llama-3-8b': preset([4096, 14336, 32, 32, 8, 128, 128256]),
  'llama-3-70b': preset([8192, 28672, 80, 64, 8, 128, 128256]),
  'mistral-7b': preset([4096, 14336, 32, 32, 8, 128, 32000]),
  'llama-3.2-1b': preset([2048, 8192, 16, 32, 8, 64, 128256], { tieEmbeddings: true }),
  'llama-3.2-3b': preset([3072, 8192, 28, 24, 8, 128, 128256], { tieEmbeddings: true }),
  'qwen2.5-0.5b': qwen2([896, 4864, 24, 14, 2, 64, 151936], true),
  'qwen2.5-1.5b': qwen2([1536, 8960, 28, 12, 2, 128, 151936], true),
  'qwen2.5-3b': qwen2([2048, 11008, 36, 16, 2, 128, 151936], true),
  'qwen2.5-7b': qwen2([3584, 18944, 28, 28, 4, 128, 152064], false),
  'qwen2.5-14b': qwen2([5120, 13824, 48, 40, 8, 128, 152064], false),
  'qwen2.5-32b': qwen2([5120, 27648, 64, 40, 8, 128, 152064], false),
  'qwen2.5-72b': qwen2([8192, 29568, 80, 64, 8, 128, 152064], false),
  'qwen3-0.6b': qwen3([1024, 3072, 28, 16, 8, 128, 151936], true),
  'qwen3-1.7b': qwen3([2048, 6144, 28, 16, 8, 128, 151936], true),
  'qwen3-4b': qwen3([2560, 9728, 36, 32, 8, 128, 151936], true),
  'qwen3-8b': qwen3([4096, 12288, 36, 32, 8, 128, 151936], false),
  'qwen3-14b': qwen3([5120, 17408, 40, 40, 8, 128, 151936], false),
  'qwen3-32b': qwen3([5120, 25600, 64, 64, 8, 128, 151936], false),
};

type Sizes = readonly [number, number, number, number, number, number, number];

/** Sizes: hidden, intermediate, layers, heads, key/value heads, head, vocabulary. */
function preset(sizes: Sizes, rest: Partial<ModelShape> = {}): ModelShape {
  const [hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDim, vocabularySize] = sizes;
  return {
    hiddenSize,
    intermediateSize,
    layers,
    heads,
    keyValueHeads,
    headDim,
    vocabularySize,
    ...usualLayout,
    ...rest,
  };
}

function qwen2(sizes: Sizes, tieEmbeddings: boolean): ModelShape {
  return preset(sizes, { tieEmbeddings, queryKeyValueBias: true });
}

function qwen3(sizes: Sizes, tieEmbeddings: boolean): ModelShape {
  return preset(sizes, { tieEmbeddings, queryKeyNorm: 'head' });
}
