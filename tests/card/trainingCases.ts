import { memoryFit } from '../../src-main/budget/forecast/calibrate.ts';
import { hostMemoryBytes, trainingMemory } from '../../src-main/budget/forecast/memory.ts';
import { usualPlace } from '../../src-main/budget/forecast/pass.ts';
import { stepWork } from '../../src-main/budget/forecast/time.ts';
import { trainConfigSchema, type Method } from '../../src-main/contract/training.ts';
import type { BenchRequest } from '../../src-main/engine/benchProtocol.ts';
import type { BatchLayout } from '../../src-main/options/passLayouts.ts';
import { presets, type ModelShape } from '../../src-main/shape/modelShape.ts';
import type { CheckedDevice } from './device.ts';

/** Sizes of the models that are timed. The smallest is for rehearsals. */
export const timedShapes: Readonly<Record<string, ModelShape>> = {
  tiny: {
    ...presets['llama-3-8b']!,
    hiddenSize: 128,
    intermediateSize: 256,
    layers: 2,
    heads: 4,
    keyValueHeads: 2,
    headDim: 32,
    vocabularySize: 512,
  },
  '1B': presets['llama-3.2-1b']!,
  '8B': presets['llama-3-8b']!,
};

/** Steps of one method on one model. */
export interface TimedTraining {
  name: string;
  shape: string;
  method: Method;
  loadIn4bit: boolean;
  gradientCheckpointing: boolean;
}

/** Tokens of a step: four examples side by side in one line. */
export const timedTokens = 2048;
const rank = 16;

/** What is asked first comes first: where time ends before all is done, the rest is left out. */
const order: readonly (readonly [string, Method, '4 bits' | 'bf16', 'checkpointing' | ''])[] = [
  ['1B', 'lora', 'bf16', ''],
  ['8B', 'lora', '4 bits', 'checkpointing'],
  ['1B', 'idlora', 'bf16', ''],
  ['8B', 'idlora', '4 bits', 'checkpointing'],
  ['1B', 'dora', 'bf16', ''],
  ['1B', 'lora', 'bf16', 'checkpointing'],
  ['1B', 'lora', '4 bits', ''],
  ['8B', 'lora', '4 bits', ''],
  ['8B', 'dora', '4 bits', 'checkpointing'],
  ['1B', 'idlora', 'bf16', 'checkpointing'],
  ['1B', 'dora', 'bf16', 'checkpointing'],
  ['1B', 'idlora', '4 bits', ''],
  ['1B', 'dora', '4 bits', ''],
  ['8B', 'idlora', '4 bits', ''],
  ['8B', 'dora', '4 bits', ''],
  ['1B', 'lora', '4 bits', 'checkpointing'],
  ['1B', 'idlora', '4 bits', 'checkpointing'],
  ['1B', 'dora', '4 bits', 'checkpointing'],
];

/** @param shapes names of `timedShapes`; tiny ones stand for those of 1B */
export function timedTrainings(shapes: readonly string[]): TimedTraining[] {
  return shapes.includes('tiny') ? ofShapes(['1B']).map(tiny) : ofShapes(shapes);
}

function ofShapes(shapes: readonly string[]): TimedTraining[] {
  return order
    .filter(([shape]) => shapes.includes(shape))
    .map(([shape, method, base, checkpointing]) => ({
      name: [`${shape} ${method}`, base, checkpointing].filter(Boolean).join(', '),
      shape,
      method,
      loadIn4bit: base === '4 bits',
      gradientCheckpointing: checkpointing !== '',
    }));
}

const tiny = (training: TimedTraining): TimedTraining => ({
  ...training,
  name: training.name.replace(/^1B/, 'tiny'),
  shape: 'tiny',
});

export function timedRequest(
  { shape, method, loadIn4bit, gradientCheckpointing }: TimedTraining,
  steps: number,
): BenchRequest {
  return {
    kind: 'bench',
    shape: timedShapes[shape]!,
    method,
    rank,
    batch: 1,
    tokens: timedTokens,
    precision: 'bf16',
    gradientCheckpointing,
    loadIn4bit,
    packing: true,
    steps,
  };
}

/** What is foreseen of such a step. */
export interface Foreseen {
  /** Of the device, and of the engine's process beside a card. */
  bytes: number;
  hostBytes: number;
  /**
   * Operations of its products that a step needs. What checkpointing computes again is not among them: it is no use of
   * the card.
   */
  flops: number;
}

export function foreseen(
  { shape: name, method, loadIn4bit, gradientCheckpointing }: TimedTraining,
  kind: CheckedDevice['kind'],
): Foreseen {
  const shape = timedShapes[name]!;
  const configOf = (checkpointing: boolean) =>
    trainConfigSchema.parse({
      adapter: { method, rank, alpha: 2 * rank, pivots: 'serial' },
      clipNorm: null,
      context: timedTokens,
      batch: 1,
      precision: 'bf16',
      packing: true,
      loadIn4bit,
      gradientCheckpointing: checkpointing,
    });
  const layout: BatchLayout = { batch: 1, tokens: timedTokens, longestExample: timedTokens / 4 };
  // As the engine cuts the work where nobody tells it otherwise.
  const place = usualPlace(kind, configOf(gradientCheckpointing));
  return {
    bytes: trainingMemory(shape, configOf(gradientCheckpointing), layout, place).bytes,
    hostBytes: kind === 'gpu' ? hostMemoryBytes(shape) : 0,
    flops: stepWork(shape, configOf(false), layout, place).flops,
  };
}

/** Why a training is not begun, by its forecast; null: it finds room. */
export function noRoom(
  { bytes, hostBytes }: Foreseen,
  free: { device: number; host: number },
): string | null {
  const gigabytes = (amount: number) => `${(amount / 1e9).toFixed(1)} GB`;
  if (memoryFit(bytes, free.device) === 'too_large')
    return `memory: ${gigabytes(bytes)} are foreseen, ${gigabytes(free.device)} are free`;
  if (memoryFit(hostBytes, free.host) === 'too_large')
    return `memory: ${gigabytes(hostBytes)} are foreseen of the machine's, ${gigabytes(free.host)} are free`;
  return null;
}

/**
 * The loss of random weights before anything is learned: logits are normal with variance `hidden size` times that of a
 * weight, and so is the logarithm of their sum of exponentials, ln V + variance / 2.
 */
export function randomLoss({ hiddenSize, vocabularySize }: ModelShape): number {
  return Math.log(vocabularySize) + (hiddenSize * 0.02 ** 2) / 2;
}
