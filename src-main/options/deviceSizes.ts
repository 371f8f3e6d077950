import type { DeviceKind, WorkParts } from '../contract/forecast.ts';
import type { Quantization } from '../contract/training.ts';

export type { WorkParts };

/** What depends on what computes. */
export interface DeviceSizes {
  /** Numbers of the output head that are cast to f32 at a time where its products are widened. */
  widenedElements: number;
  /** From this hidden size on elementwise work is compiled. */
  fusedFromHiddenSize: number;
  /** Tokens of an answer that one call computes where nothing needs the host between them; a text grows by as many. */
  decodedTokens: number;
}

/**
 * Narrow models compute a step faster than XLA's calls save on a processor; on a card compiling saves launches. A call
 * takes the host 0.4 ms besides what it computes: nothing to a processor's step, a quarter of what the host needs for
 * one of a card (docs/gpu.md).
 */
export const deviceSizes: Readonly<Record<DeviceKind, DeviceSizes>> = {
  cpu: { widenedElements: 2 ** 25, fusedFromHiddenSize: 512, decodedTokens: 1 },
  gpu: { widenedElements: Infinity, fusedFromHiddenSize: 0, decodedTokens: 8 },
};

const small: WorkParts = { queryBlock: 128, logitElements: 4 * 2 ** 20 };
const middling: WorkParts = { queryBlock: 256, logitElements: 16 * 2 ** 20 };
const large: WorkParts = { queryBlock: 512, logitElements: 64 * 2 ** 20 };

/**
 * The parts that suit what computes, the fastest first and then ever smaller ones, for what does not fit otherwise. A
 * processor is fastest where a part's numbers stay in its cache. On a card each part costs launches, which the host
 * must give out one by one: large parts halve those of a model of a billion parameters at 2,048 tokens (counted with a
 * pretend driver, docs/gpu.md), and take a gigabyte more. Who keeps a base in 4 bits is short of memory.
 *
 * Which of them a run has is decided where it is planned (budget/forecast/calibrate.ts) and recorded with it: other
 * parts sum in another order.
 */
export function possibleParts(
  device: DeviceKind,
  quantization: Quantization = 'none',
): readonly [WorkParts, ...WorkParts[]] {
  if (device === 'cpu') return [small];
  return quantization === 'nf4' ? [middling, small] : [large, middling, small];
}

/**
 * Columns of the first operand up to which products of the backward pass are joined and made late (engine/graph/
 * gradients.ts), as those of adapters are: kernels are half empty there, and what is copied to join them is small
 * beside their results.
 */
export const mostJoinedColumns = 256;
