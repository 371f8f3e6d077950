import type { AdapterConfig } from '../contract/training.ts';
import { methodOf } from '../methods/registry.ts';
import type { ModelShape } from '../shape/modelShape.ts';
import { largestRankAllowed, searchLines } from './searchSpace.ts';

export interface RankPoint {
  rank: number;
  trainable: number;
  percentBase: number;
}

/**
 * An adapter's size along the rank, at powers of two and both ends of what is possible; nothing where no rank is, and
 * for full fine-tuning.
 * @throws StudioError config_invalid as adapterSites does
 */
export function rankCurve(shape: ModelShape, adapter: AdapterConfig): RankPoint[] {
  const method = methodOf(adapter);
  const [line] = method
    ? searchLines(shape, adapter, method, { rank: { least: 1, most: largestRankAllowed } })
    : [];
  if (!line) return [];
  const powers = Array.from({ length: 17 }, (_, i) => 2 ** i / line.step).filter(Number.isInteger);
  const places = [...new Set([line.least, ...powers, line.most])].sort((a, b) => a - b);
  return places
    .filter((j) => j >= line.least && j <= line.most)
    .map((j) => {
      const { trainable, percentBase } = line.measures(j);
      return { rank: j * line.step, trainable, percentBase };
    });
}
