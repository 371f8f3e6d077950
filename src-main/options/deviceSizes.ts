import type { DeviceKind } from '../contract/forecast.ts';

/** Into what parts a model's work is cut. */
export interface DeviceSizes {
  /** Queries of attention are handled in blocks of this many. */
  queryBlock: number;
  /** Logits are made for so many elements at a time, never for the whole batch. */
  logitElements: number;
  /** Numbers of the output head that are cast to f32 at a time where its products are widened. */
  widenedElements: number;
  /** From this hidden size on elementwise work is compiled. */
  fusedFromHiddenSize: number;
}

/**
 * By what computes. A processor is fastest where a part's numbers stay in its cache, and narrow models compute a step
 * faster than XLA's calls save there. On a card each part costs launches, which the host must give out one by one:
 * blocks of 512 and logits of 256 MiB halve those of a model of a billion parameters at 2,048 tokens, and compiling
 * saves launches at every width (counted with a pretend driver, docs/gpu.md).
 */
export const deviceSizes: Readonly<Record<DeviceKind, DeviceSizes>> = {
  cpu: { queryBlock: 128, logitElements: 4 * 2 ** 20, widenedElements: 2 ** 26, fusedFromHiddenSize: 512 },
  gpu: { queryBlock: 512, logitElements: 64 * 2 ** 20, widenedElements: Infinity, fusedFromHiddenSize: 0 },
};
