import type { RanklessConfig } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { largestRank } from './check.ts';
import { countParameters, trainableCount, type ParameterCount } from './count.ts';
import { baseParameters, type ModelShape } from './modelShape.ts';

export interface Solution {
  rank: number;
  count: ParameterCount;
  /** Budget that stays unused. */
  remainder: number;
}

/**
 * The greatest rank whose trainable parameters stay within a budget; all else as given.
 * @returns null where even the smallest rank (or full fine-tuning) exceeds it, with the least possible count
 */
export function solveRank(
  shape: ModelShape,
  adapter: RanklessConfig,
  maxTrainable: number,
): { solution: Solution } | { solution: null; least: number } {
  const method = methodOf(adapter);
  if (!method) {
    const base = baseParameters(shape);
    if (base > maxTrainable) return { solution: null, least: base };
    const count = countParameters(shape, { ...adapter, rank: 1 });
    return { solution: { rank: 0, count, remainder: maxTrainable - base } };
  }
  const step = method.rankStep(adapter);
  const most = largestRank(shape, adapter);
  const trainable = (rank: number) => trainableCount(shape, { ...adapter, rank });
  if (most < step || trainable(step) > maxTrainable) return { solution: null, least: trainable(step) };
  // Every method's count grows with the rank: bisect over multiples of the step.
  let [low, high] = [1, Math.floor(most / step)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (trainable(middle * step) <= maxTrainable) low = middle;
    else high = middle - 1;
  }
  const rank = low * step;
  const count = countParameters(shape, { ...adapter, rank });
  return { solution: { rank, count, remainder: maxTrainable - count.trainable } };
}
