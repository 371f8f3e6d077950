import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import { impossible } from '../methods/method.ts';
import type { ModelShape } from './modelShape.ts';
import { compilePatternMap } from './modulePatterns.ts';
import { modelTargets } from './targets.ts';

/** One linear module of the decoder. */
export interface LinearSite {
  layer: number;
  module: TargetModule;
}

/** Path of a linear module in the Hugging Face model. */
export function modulePath({ layer, module }: LinearSite): string {
  const inMlp = ['gate_proj', 'up_proj', 'gate_up_proj', 'down_proj'].includes(module);
  return `model.layers.${layer}.${inMlp ? 'mlp' : 'self_attn'}.${module}`;
}

/** The options of an adapter that say where it is and how large it is there. */
export type AdapterPlacement = Pick<AdapterConfig, 'rank' | 'targets'> &
  Partial<Pick<AdapterConfig, 'alpha' | 'layers' | 'paths' | 'rankPattern' | 'alphaPattern'>>;

/** An adapted module and the adapter's options as they hold there. */
export interface AdapterSite<A> {
  site: LinearSite;
  adapter: A;
}

/**
 * Every adapted module of a model, layer by layer in the order of `targets`, with rank and alpha as PEFT resolves them:
 * the first key of rank_pattern (alpha_pattern) that fits the module's path, else the adapter's own. Counts, checks,
 * parameters and graphs all start here.
 *
 * @throws StudioError config_invalid: a layer or module that the model lacks, a module named twice, or a pattern that
 * is not understood or fits no adapted module
 */
export function adapterSites<A extends AdapterPlacement>(
  shape: Pick<ModelShape, 'layers' | 'fusedProjections'>,
  adapter: A,
): AdapterSite<A>[] {
  const { layers } = shape;
  checkPlacement(layers, adapter);
  const targets = modelTargets(shape, adapter.targets);
  const patterns = {
    rank: compilePatternMap(adapter.rankPattern ?? {}, 'rankPattern'),
    alpha: compilePatternMap(adapter.alphaPattern ?? {}, 'alphaPattern'),
  };
  const adapted = adapter.layers && new Set(adapter.layers);
  const chosen = adapter.paths && new Set(adapter.paths);
  const sites: AdapterSite<A>[] = [];
  for (let layer = 0; layer < layers; layer++)
    if (!adapted || adapted.has(layer))
      for (const module of targets) {
        const site = { layer, module };
        const path = modulePath(site);
        if (chosen && !chosen.has(path)) continue;
        const rank = patterns.rank.find(({ fits }) => fits(path));
        const alpha = patterns.alpha.find(({ fits }) => fits(path));
        const own = { ...(rank && { rank: rank.value }), ...(alpha && { alpha: alpha.value }) };
        sites.push({ site, adapter: rank || alpha ? { ...adapter, ...own } : adapter });
      }
  const reached = new Set(chosen && sites.map(({ site }) => modulePath(site)));
  const outside = adapter.paths?.find((path) => !reached.has(path));
  if (outside !== undefined)
    throw impossible(
      `The path ${outside} is no adapted module of this model: targets are ${targets.join(', ')}, layers ${adapter.layers?.join(', ') ?? `0 to ${layers - 1}`}.`,
      'Correct the path, or name its module and its layer among them.',
      ['adapter', 'paths'],
    );
  for (const kind of ['rank', 'alpha'] as const) {
    const unused = patterns[kind].find(({ fits }) => !sites.some(({ site }) => fits(modulePath(site))));
    if (unused)
      throw impossible(
        `The ${kind} pattern "${unused.key}" fits no adapted module.`,
        `Adapted are ${adapter.targets.join(', ')} at paths like ${modulePath(sites[0]!.site)}: correct the pattern, or leave it out.`,
        ['adapter', `${kind}Pattern`, unused.key],
      );
  }
  return sites;
}

function checkPlacement(layers: number, adapter: AdapterPlacement): void {
  const missing = adapter.layers?.find((layer) => layer >= layers);
  if (missing !== undefined)
    throw impossible(
      `Layer ${missing} does not exist: the model has ${layers} layers.`,
      `Choose layers from 0 to ${layers - 1}.`,
      ['adapter', 'layers'],
    );
  const twice = adapter.targets.find((module, i) => adapter.targets.indexOf(module) !== i);
  if (twice !== undefined)
    throw impossible(`The module ${twice} is named twice.`, 'Name each module once.', ['adapter', 'targets']);
}
