import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import { methodOf } from '../methods/registry.ts';
import { adapterSites } from '../shape/adapterSites.ts';
import { moduleNumbers } from './count.ts';
import { moduleSize, type ModelShape } from '../shape/modelShape.ts';

/** Trainable numbers of every adapted module in every layer. */
export interface LayerCounts {
  modules: TargetModule[];
  /** Layers of the model. */
  layers: number;
  /** [layer, place of the module, trainable] of those that are adapted. */
  cells: [number, number, number][];
}

/** Empty for full fine-tuning. @throws StudioError config_invalid as adapterSites does */
export function layerCounts(shape: ModelShape, adapter: AdapterConfig): LayerCounts {
  const method = methodOf(adapter);
  const sites = method ? adapterSites(shape, adapter) : [];
  const modules = [...new Set(sites.map(({ site }) => site.module))];
  const known = new Map<string, number>();
  const cells = sites.map(({ site, adapter: own }): [number, number, number] => {
    const key = `${site.module} ${own.rank}`;
    const found = known.get(key) ?? moduleNumbers(method!, moduleSize(shape, site.module), own).trainable;
    known.set(key, found);
    return [site.layer, modules.indexOf(site.module), found];
  });
  return { modules, layers: shape.layers, cells };
}
