import type { AdapterConfig } from '../contract/training.ts';
import type { RanklessConfig } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { usedOf, type Budget } from './budgetUnits.ts';
import { countParameters, fullMeasures, type Measures, type ParameterCount } from './count.ts';
import { baseParameters, linearModules, type ModelShape } from '../shape/modelShape.ts';
import { searchLines, sizeOptions, type Line, type SearchLimits } from './searchSpace.ts';
import { rankBounds } from './work.ts';

export interface Solution {
  /** The settings; rank 1 stands for full fine-tuning's none. */
  adapter: AdapterConfig;
  count: ParameterCount;
  /** In the budget's unit. */
  used: number;
  /** Budget that stays unused. */
  remainder: number;
}

/** No settings stay within the budget. */
export interface NoSolution {
  solution: null;
  /** The least that any settings within the limits need, in the budget's unit; null where none are possible at all. */
  nearest: { adapter: AdapterConfig; used: number } | null;
}

/** One of the settings, with what it uses of the budget. */
interface Candidate {
  adapter: AdapterConfig;
  used: number;
  measures: Measures;
}

/**
 * The settings of a method that come closest to a budget without exceeding it. Exact: every setting within the limits
 * is considered, along the rank by bisection, which the counts' monotony allows.
 *
 * Of several that use as much, in this order: most trainable parameters, highest sum of the rank bounds at one token,
 * simplest. Simplest means most target modules, then fewest clusters, least boost, fewest heads, fewest experts, least
 * rank, then modules that come first in the forward pass.
 *
 * @throws StudioError config_invalid where no target is possible
 */
export function solveBudget(
  shape: ModelShape,
  adapter: RanklessConfig,
  budget: Budget,
  limits: SearchLimits = { rank: { least: 1, most: Infinity } },
): { solution: Solution } | NoSolution {
  const method = methodOf(adapter);
  let best: Candidate | null = null;
  let nearest: Candidate | null = null;
  const bounds = new Map<Candidate, number>();
  const boundOf = (one: Candidate) => {
    const known = bounds.get(one) ?? rankBounds(shape, one.adapter)?.tokenTotal ?? 0;
    bounds.set(one, known);
    return known;
  };
  const isBetter = (one: Candidate, other: Candidate) =>
    one.used - other.used ||
    one.measures.trainable - other.measures.trainable ||
    boundOf(one) - boundOf(other) ||
    simpler(shape, one.adapter, other.adapter);
  const consider = (line: Line) => {
    const at = (j: number): Candidate => {
      const measures = line.measures(j);
      const settings = { ...line.adapter, rank: j * line.step };
      return { adapter: settings, used: usedOf(measures, budget.unit), measures };
    };
    const [first, last] = [at(line.least), at(line.most)];
    const least = first.used <= last.used ? first : last;
    if (!nearest || least.used < nearest.used) nearest = least;
    if (least.used > budget.most) return;
    const found = at(greatestWithin(line, budget, first.used <= last.used));
    if (!best || isBetter(found, best) > 0) best = found;
  };
  if (method) for (const line of searchLines(shape, adapter, method, limits)) consider(line);
  else {
    const measures = fullMeasures(baseParameters(shape));
    const full = { adapter: { ...adapter, rank: 1 }, used: usedOf(measures, budget.unit), measures };
    if (full.used <= budget.most) best = full;
    nearest = full;
  }
  const [chosen, closest] = [best, nearest] as [Candidate | null, Candidate | null];
  if (!chosen)
    return { solution: null, nearest: closest && { adapter: closest.adapter, used: closest.used } };
  const { adapter: settings, used } = chosen;
  return {
    solution: {
      adapter: settings,
      count: countParameters(shape, settings),
      used,
      remainder: budget.most - used,
    },
  };
}

/**
 * The greatest rank within a number of trainable parameters, all else as given.
 * @returns null where even the smallest rank (or full fine-tuning) exceeds it, with the least possible count
 */
export function solveRank(
  shape: ModelShape,
  adapter: RanklessConfig,
  maxTrainable: number,
):
  | { solution: { rank: number; count: ParameterCount; remainder: number } }
  | { solution: null; least: number } {
  const found = solveBudget(shape, adapter, { unit: 'parameters', most: maxTrainable });
  if (!found.solution) return { solution: null, least: found.nearest?.used ?? Infinity };
  const { adapter: settings, count, remainder } = found.solution;
  return { solution: { rank: settings.method === 'full' ? 0 : settings.rank, count, remainder } };
}

/** The j whose use is greatest within the budget; one end of the line is within it. */
function greatestWithin(line: Line, { unit, most }: Budget, isRising: boolean): number {
  // Bisection between j that fits (low) and j that may not, away from the end with the least use.
  let [fits, open] = isRising ? [line.least, line.most] : [line.most, line.least];
  while (fits !== open) {
    const middle = isRising ? Math.ceil((fits + open) / 2) : Math.floor((fits + open) / 2);
    if (usedOf(line.measures(middle), unit) <= most) fits = middle;
    else open = isRising ? middle - 1 : middle + 1;
  }
  return fits;
}

/** Above 0 where the first is simpler. */
function simpler(shape: ModelShape, one: AdapterConfig, other: AdapterConfig): number {
  if (one.targets.length !== other.targets.length) return one.targets.length - other.targets.length;
  for (const name of [...sizeOptions, 'rank'] as const)
    if (one[name] !== other[name]) return other[name] - one[name];
  const places = ({ targets }: AdapterConfig) =>
    targets.map((module) => linearModules(shape).indexOf(module));
  const [mine, theirs] = [places(one), places(other)];
  const differs = mine.findIndex((place, i) => place !== theirs[i]);
  return differs < 0 ? 0 : theirs[differs]! - mine[differs]!;
}
