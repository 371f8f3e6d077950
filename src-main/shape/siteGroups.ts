import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import type { LinearSize } from '../methods/method.ts';
import { adapterSites } from './adapterSites.ts';
import { moduleSize, type ModelShape } from './modelShape.ts';

/** The layers in which a module is adapted at one rank. */
export interface SiteGroup {
  module: TargetModule;
  size: LinearSize;
  layers: number;
  /** The adapter's options as they hold there. */
  own: AdapterConfig;
}

/**
 * The adapted modules of a model, one entry for each module and rank.
 * @throws StudioError config_invalid as adapterSites does
 */
export function siteGroups(shape: ModelShape, adapter: AdapterConfig): SiteGroup[] {
  const found = new Map<string, SiteGroup>();
  for (const { site, adapter: own } of adapterSites(shape, adapter)) {
    const key = `${site.module} ${own.rank}`;
    const known = found.get(key);
    if (known) known.layers++;
    else found.set(key, { module: site.module, size: moduleSize(shape, site.module), layers: 1, own });
  }
  return [...found.values()];
}
