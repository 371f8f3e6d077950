import type { AdapterConfig, ConfigPath, TrainConfig } from '../contract/training.ts';
import { adapterSites } from '../shape/adapterSites.ts';
import { checkOptions } from './checkOptions.ts';
import { impossible, type CheckedModule, type RanklessConfig } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { linearModules, moduleSize, type ModelShape } from '../shape/modelShape.ts';
import { siteGroups } from '../shape/siteGroups.ts';
import { modelTargets } from '../shape/targets.ts';

/** Largest rank that every target of the model admits. */
export function largestRank(shape: ModelShape, adapter: RanklessConfig): number {
  const method = methodOf(adapter);
  const ranks = modelTargets(shape, adapter.targets).map((module) => {
    const size = moduleSize(shape, module);
    const side = Math.min(size.dIn, size.dOut);
    if (!method) return side;
    // No update has a higher rank than its weight, however many rows there are to choose from.
    const step = method.rankStep(adapter);
    return Math.floor(Math.min(side, method.largestRank(size, adapter)) / step) * step;
  });
  return ranks.reduce((least, rank) => Math.min(least, rank), Infinity);
}

/** The rank of an adapter is a multiple of this. */
export function rankStep(adapter: RanklessConfig): number {
  return methodOf(adapter)?.rankStep(adapter) ?? 1;
}

/**
 * Checks that an adapter can be built on a model, module by module with the rank it has there.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function checkStructure(shape: ModelShape, adapter: AdapterConfig): void {
  for (const { place, own, method } of distinctModules(shape, adapter)) method.check(place, own);
}

/**
 * Checks that an adapter can be built and that its ranks make sense: no update has a higher rank than its weight.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function checkSize(shape: ModelShape, adapter: AdapterConfig): void {
  for (const { place, own, method } of distinctModules(shape, adapter)) {
    method.check(place, own);
    const { module, shape: size, most } = place;
    const limit = Math.min(size.dIn, size.dOut);
    if (own.rank > limit)
      throw impossible(
        `Rank ${own.rank} is larger than the smallest side of ${module}, ${limit}.`,
        `Choose rank ${most} or less, or leave out ${module}.`,
        place.rankPath,
      );
  }
}

/** One of the modules of each kind and rank. */
function distinctModules(shape: ModelShape, adapter: AdapterConfig) {
  const method = methodOf(adapter);
  if (!method) return [];
  const most = largestRank(shape, adapter);
  return siteGroups(shape, adapter).map(({ module, size, own }) => {
    const rankPath: ConfigPath = ['adapter', own.rank === adapter.rank ? 'rank' : 'rankPattern'];
    return { place: { module, shape: size, most, rankPath } satisfies CheckedModule, own, method };
  });
}

/**
 * Checks all options of an adapter against each other and against a model. Options of other methods are ignored, so
 * that one set of options can serve several methods (the command line names them); options that contradict the method
 * itself are refused.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function checkAdapter(shape: ModelShape, adapter: AdapterConfig): void {
  if (adapter.method === 'full') {
    const { layers, paths, rankPattern, alphaPattern, rankStabilized, dropout } = adapter;
    const targets = modelTargets(shape, adapter.targets);
    const given: [keyof AdapterConfig, string][] = [];
    if (targets.length < linearModules(shape).length)
      given.push(['targets', `a choice of modules (${targets.join(', ')})`]);
    if (layers) given.push(['layers', 'a choice of layers']);
    if (paths) given.push(['paths', 'a choice of module paths']);
    if (Object.keys(rankPattern).length > 0) given.push(['rankPattern', 'a rank pattern']);
    if (Object.keys(alphaPattern).length > 0) given.push(['alphaPattern', 'an alpha pattern']);
    if (rankStabilized) given.push(['rankStabilized', 'rank-stabilized scaling (rslora)']);
    if (dropout > 0) given.push(['dropout', `dropout ${dropout}`]);
    const [first, ...others] = given;
    if (first)
      throw impossible(
        `Full fine-tuning trains every parameter and has no adapter: ${given.map(([, text]) => text).join(', ')} cannot apply.`,
        'Leave it out, or choose a method with an adapter, for example lora.',
        others.length === 0 ? ['adapter', first[0]] : undefined,
      );
    return;
  }
  // Alpha patterns decide no size: this is where they are checked.
  adapterSites(shape, adapter);
  checkSize(shape, adapter);
}

/**
 * Checks the options of a training run, those of its adapter against the model included.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function checkTraining(shape: ModelShape, config: TrainConfig): void {
  checkAdapter(shape, config.adapter);
  checkOptions(config);
}
