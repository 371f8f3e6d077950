import { StudioError } from '../contract/errors.ts';
import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import { impossible, type AdapterMethod, type RanklessConfig } from '../methods/method.ts';
import { measuresOf, moduleNumbers, sharedNumbers, type Measures, type Numbers } from './count.ts';
import { baseParameters, linearModules, type ModelShape } from '../shape/modelShape.ts';
import { methodOf } from '../methods/registry.ts';
import { siteGroups, type SiteGroup } from '../shape/siteGroups.ts';
import { modelTargets } from '../shape/targets.ts';

export interface Range {
  least: number;
  most: number;
}

/** Options besides rank and targets that decide an adapter's size. */
export const sizeOptions = ['clusters', 'boost', 'heads', 'experts'] as const;
export type SizeOption = (typeof sizeOptions)[number];

/** What a solver may change, and how far; what is absent stays as it is. */
export interface SearchLimits extends Partial<Record<SizeOption, Range>> {
  rank?: Range;
  /** Any selection of the adapter's target modules. */
  targets?: boolean;
}

/** Largest rank of a configuration. */
export const largestRankAllowed = 65_536;

/** All settings that differ in rank only: their ranks are step * j, least <= j <= most. */
export interface Line {
  adapter: RanklessConfig;
  step: number;
  least: number;
  most: number;
  measures(j: number): Measures;
}

/**
 * The settings of a method within limits, as lines along the rank. Settings that cannot be built are left out.
 *
 * Relies on what a method promises: its numbers are affine in the rank, and what is possible at the least rank is so at
 * every multiple of the step up to the largest.
 *
 * @throws StudioError config_invalid where no target is possible, or patterns are to be kept while targets are sought
 */
export function searchLines(
  shape: ModelShape,
  adapter: RanklessConfig,
  method: AdapterMethod,
  limits: SearchLimits,
): Line[] {
  const { rankPattern, alphaPattern } = adapter;
  if (limits.targets && Object.keys({ ...rankPattern, ...alphaPattern }).length > 0)
    throw impossible(
      'Patterns of rank or alpha name modules: they cannot be kept while the target modules are sought.',
      'Leave the patterns out, or fix the targets.',
      ['adapter', Object.keys(rankPattern).length > 0 ? 'rankPattern' : 'alphaPattern'],
    );
  const base = baseParameters(shape);
  const lines: Line[] = [];
  for (const options of combinations(method, limits)) {
    const own = { ...adapter, ...options };
    const step = method.rankStep(own);
    const modules = moduleLines(shape, own, method, step);
    for (const targets of limits.targets
      ? selections(shape, adapter)
      : [modelTargets(shape, adapter.targets)]) {
      const chosen = modules.filter(({ module }) => targets.includes(module));
      const { least, most } = limits.rank ?? { least: 1, most: largestRankAllowed };
      const largest = chosen.reduce((least, entry) => Math.min(least, entry.largest), most);
      const line = {
        adapter: { ...own, targets },
        step,
        least: Math.max(1, Math.ceil(least / step)),
        most: Math.floor(largest / step),
      };
      if (line.most < line.least) continue;
      const shared = sharedNumbers(method, { ...own, rank: step });
      const at = (part: 'start' | 'slope') =>
        chosen.reduce((sum, entry) => plus(sum, entry[part]), part === 'start' ? shared : none);
      const [start, slope] = [at('start'), at('slope')];
      // Where patterns set every rank, the least one stands for all.
      if (slope.trainable === 0) line.most = line.least;
      lines.push({ ...line, measures: (j) => measuresOf(base, plus(start, times(slope, j))) });
    }
  }
  return lines;
}

/** A module's numbers over all adapted layers as start + j slope, at rank step * j. */
interface ModuleLine {
  module: TargetModule;
  start: Numbers;
  slope: Numbers;
  /** 0 where the module is impossible with these options. */
  largest: number;
}

function moduleLines(
  shape: ModelShape,
  own: RanklessConfig,
  method: AdapterMethod,
  step: number,
): ModuleLine[] {
  const groups = (rank: number) => siteGroups(shape, { ...own, rank });
  const [once, twice] = [groups(step), groups(2 * step)];
  const found = new Map<TargetModule, ModuleLine>();
  for (const [i, group] of once.entries()) {
    const next = twice[i]!;
    const first = times(moduleNumbers(method, group.size, group.own), group.layers);
    const second = times(moduleNumbers(method, next.size, next.own), next.layers);
    const slope = plus(second, times(first, -1));
    const start = plus(first, times(slope, -1));
    const largest = largestIn(method, own, group, next.own.rank === group.own.rank);
    const known = found.get(group.module);
    found.set(group.module, {
      module: group.module,
      start: plus(known?.start ?? none, start),
      slope: plus(known?.slope ?? none, slope),
      largest: Math.min(known?.largest ?? Infinity, largest),
    });
  }
  return [...found.values()];
}

/** Largest rank in one group of sites; without limit where a pattern sets it. */
function largestIn(method: AdapterMethod, own: RanklessConfig, group: SiteGroup, isFixed: boolean): number {
  const side = Math.min(group.size.dIn, group.size.dOut);
  try {
    const rankPath = ['adapter', 'rank'] as const;
    method.check({ module: group.module, shape: group.size, most: side, rankPath }, group.own);
  } catch (error) {
    if (error instanceof StudioError) return 0;
    throw error;
  }
  if (isFixed) return group.own.rank <= side ? Infinity : 0;
  return Math.min(side, method.largestRank(group.size, own));
}

/** Every choice of the method's options within the limits. */
function combinations(method: AdapterMethod, limits: SearchLimits): Partial<Record<SizeOption, number>>[] {
  const sought = sizeOptions.filter((name) => limits[name] && Object.values(method.fileKeys).includes(name));
  return sought.reduce<Partial<Record<SizeOption, number>>[]>(
    (all, name) => {
      const { least, most } = limits[name]!;
      const values = Array.from({ length: most - least + 1 }, (_, i) => least + i);
      return all.flatMap((options) => values.map((value) => ({ ...options, [name]: value })));
    },
    [{}],
  );
}

/** Every selection of the target modules but none. */
function selections(shape: ModelShape, adapter: Pick<AdapterConfig, 'targets'>): TargetModule[][] {
  const asked = modelTargets(shape, adapter.targets);
  const targets = linearModules(shape).filter((module) => asked.includes(module));
  return Array.from({ length: 2 ** targets.length - 1 }, (_, i) =>
    targets.filter((_module, bit) => ((i + 1) >> bit) & 1),
  );
}

const none: Numbers = { trainable: 0, frozenExtra: 0, indices: 0 };

function plus(x: Numbers, y: Numbers): Numbers {
  return {
    trainable: x.trainable + y.trainable,
    frozenExtra: x.frozenExtra + y.frozenExtra,
    indices: x.indices + y.indices,
  };
}

function times(x: Numbers, factor: number): Numbers {
  return {
    trainable: x.trainable * factor,
    frozenExtra: x.frozenExtra * factor,
    indices: x.indices * factor,
  };
}

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
