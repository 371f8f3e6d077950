import type { DeviceKind, WorkParts } from '../../contract/forecast.ts';
import {
  quantizationOf,
  type AdapterConfig,
  type Precision,
  type Quantization,
  type TrainConfig,
} from '../../contract/training.ts';
import { leavesEmbedding } from '../../options/embeddingRows.ts';
import { deviceSizes } from '../../options/deviceSizes.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import { countParameters } from '../count.ts';
import { baseParameters, linearModules, moduleSize, type ModelShape } from '../../shape/modelShape.ts';
import { mostOfLayer, passOf, sumLayers, usualPlace, type PassPlace } from './pass.ts';

/** The parts of a training's memory, in the order in which they are shown. */
export const memoryParts = [
  'process',
  'weights',
  'adapter',
  'gradients',
  'optimizer',
  'activations',
  'attention',
  'logits',
  'working',
] as const;
export type MemoryPart = (typeof memoryParts)[number];

export interface MemoryForecast {
  /** Bytes of each part at the peak of a step. */
  parts: Readonly<Record<MemoryPart, number>>;
  /** Their sum. */
  bytes: number;
}

const mebibyte = 2 ** 20;

/**
 * Node and TensorFlow with a small graph, and what compiling elementwise functions adds (measured; see
 * docs/measurements.md).
 */
export const processBytes = { plain: 510 * mebibyte, compiled: 570 * mebibyte };

/**
 * The graph of a step beside that: its nodes in every form that TensorFlow keeps of them, for each adapted module
 * beyond those of three layers (measured with 2, 16 and 30 layers, two or all seven modules adapted;
 * docs/measurements.md).
 */
const graphBytesOfModule = 1.5 * mebibyte;
const modulesOfSmallGraph = 21;

/** Bytes of the graph of a training, where the process lives. */
export function graphBytes(shape: ModelShape, adapter: AdapterConfig): number {
  const { perModule } = countParameters(shape, adapter);
  const modules =
    adapter.method === 'full'
      ? linearModules(shape).length * shape.layers
      : perModule.reduce((total, { layers }) => total + layers, 0);
  return graphBytesOfModule * Math.max(0, modules - modulesOfSmallGraph);
}

/** CUDA's context with the libraries of TensorFlow on a GPU: assumed, never measured here. */
export const cudaBytes = 700 * mebibyte;

/**
 * Copies of a chunk's logits that exist together: product, softmax gradient, its scaled copy, and that in the compute
 * type.
 */
const logitCopies = 4;

/** So many variables are updated at a time (engine/training/trainingGraph.ts). */
const updatesAtATime = 4;

/** Bytes of the optimizer's state for so many trained parameters, in memory and in a checkpoint. */
export function optimizerBytes(
  { optimizer, momentum }: Pick<TrainConfig, 'optimizer' | 'momentum'>,
  trainable: number,
): number {
  return {
    adamw: 8 * trainable,
    adamw8bit: (2 + 8 / 256) * trainable,
    sgd: momentum > 0 ? 4 * trainable : 0,
  }[optimizer];
}

/**
 * Peak memory of a training where its tensors live: what stays during a step, and what lives together when it needs
 * most. On a processor that is the resident memory of the engine's process; on a GPU the memory of the card (see
 * `hostMemoryBytes` for the rest). Activations follow from the sizes that the graph keeps (layer.ts), not from a rule
 * of thumb.
 *
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function trainingMemory(
  shape: ModelShape,
  config: TrainConfig,
  layout: BatchLayout,
  place: PassPlace = usualPlace('cpu', config),
): MemoryForecast {
  const { device, parts: cut } = place;
  const { adapter, precision, accumulate, gradientCheckpointing, clipNorm } = config;
  const quantization = quantizationOf(config);
  const count = countParameters(shape, adapter);
  const isFull = adapter.method === 'full';
  const wide = precision === 'bf16' ? 2 : 4;
  const rows = layout.batch * layout.tokens;
  const { hiddenSize, vocabularySize } = shape;
  const pass = passOf(shape, config, layout, place);
  const { trainable } = count;

  const headElements = vocabularySize * hiddenSize;
  const largestTrained = isFull ? Math.max(headElements, largestModuleElements(shape)) : 0;
  const activationBytes = gradientCheckpointing
    ? shape.layers * rows * hiddenSize * wide + mostOfLayer(pass, ({ keptBytes }) => keptBytes)
    : sumLayers(pass, ({ keptBytes }) => keptBytes);
  const overLayers = gradientCheckpointing ? mostOfLayer : sumLayers;
  // Rows of an embedding that stays in its file are fed in f32, by way of a copy.
  const fedBytes = leavesEmbedding(config, shape) ? 2 * 4 * rows * hiddenSize : 0;
  const endBytes = 3 * rows * hiddenSize * wide + fedBytes;
  const chunkElements = Math.min(rows * vocabularySize, cut.logitElements);
  const parts: Record<MemoryPart, number> = {
    process:
      device === 'gpu'
        ? cudaBytes
        : (pass.isFused ? processBytes.compiled : processBytes.plain) + graphBytes(shape, adapter),
    weights:
      baseBytes(shape, isFull ? 4 : wide, quantization) -
      (leavesEmbedding(config, shape) ? headElements * wide : 0),
    adapter: isFull ? 0 : count.adapterBytes.f32 + (wide === 2 ? wide * trainable : 0),
    gradients: 4 * trainable * (accumulate > 1 ? 2 : 1),
    optimizer: optimizerBytes(config, trainable),
    activations: activationBytes + endBytes,
    attention: overLayers(pass, ({ attentionBytes }) => attentionBytes),
    logits: logitCopies * 4 * chunkElements + (isFull ? 2 * 4 * headElements : 0),
    working:
      workingBytes(shape, layout, wide, cut) +
      widenedBytes(shape, { precision, quantization }, device) +
      updatesAtATime * 4 * largestTrained * (clipNorm ? 1 : 0),
  };
  return { parts, bytes: memoryParts.reduce((total, name) => total + parts[name], 0) };
}

/** Numbers in the largest weight of a linear module. */
function largestModuleElements(shape: ModelShape): number {
  const sizes = linearModules(shape).map((module) => moduleSize(shape, module));
  return sizes.reduce((most, { dIn, dOut }) => Math.max(most, dIn * dOut), 0);
}

/** Bytes of the wider copies of weights that products need for the moment. */
export function widenedBytes(
  shape: ModelShape,
  { precision, quantization }: { precision: Precision; quantization: Quantization },
  device: DeviceKind,
): number {
  const moduleElements = largestModuleElements(shape);
  const headElements = shape.vocabularySize * shape.hiddenSize;
  // Products of bf16 matrices are computed on f32 copies of the operands where the processor has no unit for them.
  const isWidened = precision === 'bf16' && device === 'cpu';
  // The head in parts, each a copy in both types, where it is larger than one.
  const { widenedElements } = deviceSizes[device];
  const headBytes = headElements > widenedElements ? 6 * widenedElements : 4 * headElements;
  // A weight in fewer bits is widened for each product, wherever it is computed.
  const bytesOfWidened = isWidened || precision === 'f32' ? 4 : 2;
  return Math.max(
    isWidened ? Math.max(4 * moduleElements, headBytes) : 0,
    quantization === 'none' ? 0 : bytesOfWidened * moduleElements,
  );
}

/**
 * Bytes of the base's weights.
 * @param wide bytes of a number in the compute type
 * @param quantization of linear modules: in 8 bits a number takes a byte and a row four; in 4 bits a number takes half
 * a byte, a block of 64 one and 256 blocks four, or a block four where the folder has its scales in f32
 */
export function baseBytes(shape: ModelShape, wide: number, quantization: Quantization): number {
  const all = baseParameters(shape) * wide;
  if (quantization === 'none') return all;
  return linearModules(shape).reduce((bytes, module) => {
    const { dIn, dOut } = moduleSize(shape, module);
    const numbers = dIn * dOut;
    const blocks = numbers / 64;
    const scales = shape.hasPlainNf4Scales ? 4 * blocks : blocks + blocks / 64 + 4;
    const kept = quantization === 'int8' ? numbers + 4 * dOut : numbers / 2 + scales;
    return bytes + shape.layers * (kept - numbers * wide);
  }, all);
}

/** Bytes of the engine's process beside work on a GPU: itself, and the largest tensor on its way to the card. */
export function hostMemoryBytes({ vocabularySize, hiddenSize }: ModelShape): number {
  return processBytes.compiled + 4 * vocabularySize * hiddenSize;
}

/**
 * Bytes that one layer needs for the moment in its backward pass: gradients of the gated unit, of the residual stream
 * and of a block of attention weights.
 */
function workingBytes(
  shape: ModelShape,
  { batch, tokens, longestExample }: BatchLayout,
  wide: number,
  { queryBlock }: WorkParts,
): number {
  const rows = batch * tokens;
  const keys = Math.min(tokens, (longestExample ?? tokens) + queryBlock);
  const gatedBytes = rows * shape.intermediateSize * (4 + 2 * wide);
  const streamBytes = 4 * rows * shape.hiddenSize * wide;
  const scoreBytes = 4 * batch * shape.heads * Math.min(tokens, queryBlock) * keys * 4;
  return gatedBytes + streamBytes + scoreBytes;
}
