import type { DeviceKind, WorkParts } from '../../contract/forecast.ts';
import {
  quantizationOf,
  type AdapterConfig,
  type TargetModule,
  type TrainConfig,
} from '../../contract/training.ts';
import { adapterSites } from '../../shape/adapterSites.ts';
import { deviceSizes, possibleParts } from '../../options/deviceSizes.ts';
import type { BatchLayout } from '../../options/passLayouts.ts';
import type { ModelShape } from '../../shape/modelShape.ts';
import { layerCost, type LayerCost } from './layer.ts';

/** Whether the elementwise work of a model is compiled. */
export function isFusedShape({ hiddenSize }: ModelShape, device: DeviceKind): boolean {
  return hiddenSize >= deviceSizes[device].fusedFromHiddenSize;
}

/** The layers of a model; layers of equal cost stand once, with their count. */
export interface Pass {
  layers: readonly { cost: LayerCost; count: number }[];
  isFused: boolean;
}

/** A forecast asks for memory and time of the same two passes, while somebody drags a rank. */
let latest: readonly {
  shape: ModelShape;
  config: TrainConfig;
  layout: BatchLayout;
  device: DeviceKind;
  queryBlock: number;
  pass: Pass;
}[] = [];

/** What computes a pass, and in what parts. */
export interface PassPlace {
  device: DeviceKind;
  parts: WorkParts;
}

/** The fastest parts: whether they fit is not asked. */
export function usualPlace(device: DeviceKind, config: TrainConfig): PassPlace {
  return { device, parts: possibleParts(device, quantizationOf(config))[0] };
}

/**
 * Forward and backward pass over a model's layers.
 * @throws StudioError config_invalid where the adapter does not fit the model
 */
export function passOf(
  shape: ModelShape,
  config: TrainConfig,
  layout: BatchLayout,
  { device, parts: { queryBlock } }: PassPlace,
): Pass {
  const { batch, tokens, longestExample } = layout;
  const known = latest.find(
    (one) =>
      one.shape === shape &&
      one.config === config &&
      one.device === device &&
      one.queryBlock === queryBlock &&
      one.layout.batch === batch &&
      one.layout.tokens === tokens &&
      one.layout.longestExample === longestExample,
  );
  if (known) return known.pass;
  const pass = countPass(shape, config, layout, { isFused: isFusedShape(shape, device), queryBlock });
  latest = [...latest.slice(-1), { shape, config, layout, device, queryBlock, pass }];
  return pass;
}

function countPass(
  shape: ModelShape,
  config: TrainConfig,
  layout: BatchLayout,
  { isFused, queryBlock }: { isFused: boolean; queryBlock: number },
): Pass {
  const { adapter, precision } = config;
  const isFull = adapter.method === 'full';
  // Where every layer is adapted alike, the first (before which nothing is trained) and the second stand for all.
  const { rankPattern, alphaPattern } = adapter;
  const isUniform = adapter.layers === null && Object.keys({ ...rankPattern, ...alphaPattern }).length === 0;
  const layers = isUniform ? Math.min(2, shape.layers) : shape.layers;
  const adapted = new Map<number, Map<TargetModule, AdapterConfig>>();
  if (!isFull)
    for (const { site, adapter: own } of adapterSites({ ...shape, layers }, adapter)) {
      const modules = adapted.get(site.layer) ?? new Map<TargetModule, AdapterConfig>();
      modules.set(site.module, own);
      adapted.set(site.layer, modules);
    }
  const first = isFull ? 0 : [...adapted.keys()].reduce((least, layer) => Math.min(least, layer), Infinity);
  const found = new Map<string, { cost: LayerCost; count: number }>();
  for (let layer = 0; layer < layers; layer++) {
    const alike = layer === layers - 1 ? shape.layers - layers + 1 : 1;
    const modules = adapted.get(layer) ?? new Map<TargetModule, AdapterConfig>();
    const hasGradient = layer > first;
    const key = `${hasGradient} ${[...modules].map(([name, own]) => `${name} ${own.rank}`).join()}`;
    const known = found.get(key);
    if (known) known.count += alike;
    else {
      const given = { precision, dropout: adapter.dropout, isFull };
      const cost = layerCost(shape, given, layout, modules, { hasGradient, isFused, queryBlock });
      found.set(key, { cost, count: alike });
    }
  }
  return { layers: [...found.values()], isFused };
}

/** Sum over all layers. */
export function sumLayers({ layers }: Pass, of: (cost: LayerCost) => number): number {
  return layers.reduce((total, { cost, count }) => total + count * of(cost), 0);
}

/** Most of one layer. */
export function mostOfLayer({ layers }: Pass, of: (cost: LayerCost) => number): number {
  return layers.reduce((most, { cost }) => Math.max(most, of(cost)), 0);
}
