import type { AdapterConfig } from '../contract/training.ts';
import type { MultiplyAdds, RankBound } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { linearModules, moduleSize, type ModelShape } from '../shape/modelShape.ts';
import { siteGroups } from '../shape/siteGroups.ts';

/** FLOPs of matrix products; elementwise work and attention are not counted. */
export interface Work {
  /** For one token through the base model's linear modules and head. */
  baseForward: number;
  /** Beyond it, for a token and once for each pass. */
  inference: MultiplyAdds;
  /** Beyond the forward pass and the gradient through the frozen base, forward and backward of the adapter together. */
  training: MultiplyAdds;
}

/**
 * What a method computes beyond the frozen base, in FLOPs (two for a multiply-add).
 *
 * Training is counted as if every adapted module's input needed a gradient; those of the first adapted layer's q, k and
 * v do not. Full fine-tuning adds the gradients of the weights, one product as large as the forward one for each.
 *
 * @throws StudioError config_invalid as adapterSites does
 */
export function extraWork(shape: ModelShape, adapter: AdapterConfig): Work {
  const weights =
    shape.vocabularySize * shape.hiddenSize +
    shape.layers *
      linearModules(shape).reduce((sum, module) => {
        const { dIn, dOut } = moduleSize(shape, module);
        return sum + dIn * dOut;
      }, 0);
  const baseForward = 2 * weights;
  const method = methodOf(adapter);
  if (!method)
    return {
      baseForward,
      inference: { perToken: 0, perPass: 0 },
      training: { perToken: baseForward, perPass: 0 },
    };
  const inference = { perToken: 0, perPass: 0 };
  const training = { perToken: 0, perPass: 0 };
  for (const { size, layers, own } of siteGroups(shape, adapter)) {
    const products = method.extraProducts(size, own);
    for (const key of ['perToken', 'perPass'] as const) {
      inference[key] += 2 * layers * products.inference[key];
      training[key] += 2 * layers * products.training[key];
    }
  }
  return { baseForward, inference, training };
}

/** Bounds on the update's ranks in the modules: least and greatest over them, and the sum of `token` over all. */
export interface RankBounds {
  least: RankBound;
  greatest: RankBound;
  /** Sum of the one-token bounds over all adapted modules: what one adapter can change, in ranks. */
  tokenTotal: number;
}

/**
 * The greatest ranks that an adapter's updates can have, without checks; null for full fine-tuning, which may change
 * every weight in full.
 * @throws StudioError config_invalid as adapterSites does
 */
export function rankBounds(shape: ModelShape, adapter: AdapterConfig): RankBounds | null {
  const method = methodOf(adapter);
  if (!method) return null;
  const bounds = siteGroups(shape, adapter).map(({ size, own, layers }) => ({
    bound: method.rankBound(size, own),
    layers,
  }));
  const of = (pick: (...values: number[]) => number): RankBound => ({
    token: pick(...bounds.map(({ bound }) => bound.token)),
    reads: pick(...bounds.map(({ bound }) => bound.reads)),
    writes: pick(...bounds.map(({ bound }) => bound.writes)),
  });
  const tokenTotal = bounds.reduce((sum, { bound, layers }) => sum + layers * bound.token, 0);
  return { least: of(Math.min), greatest: of(Math.max), tokenTotal };
}
