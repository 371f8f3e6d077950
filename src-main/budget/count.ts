import { impossible } from '../methods/method.ts';
import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import type { AdapterMethod, LinearSize, ParameterSpec } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { checkSize } from '../options/checkAdapter.ts';
import { baseParameters, moduleSize, type ModelShape } from '../shape/modelShape.ts';
import { adapterSites } from '../shape/adapterSites.ts';
import { siteGroups } from '../shape/siteGroups.ts';

/** Numbers of one adapted module, or of what modules share. */
export interface Numbers {
  trainable: number;
  /** Frozen numbers beyond the base, as the paper counts them. */
  frozenExtra: number;
  /** Numbers that the file keeps beside: row indices, or frozen bases that are no rows. */
  indices: number;
}

export interface ModuleCount extends LinearSize {
  module: TargetModule;
  /** Layers in which the module has this rank; one entry for each rank. */
  layers: number;
  rank: number;
  /** In one layer. */
  trainable: number;
  /** Frozen numbers beyond the base in one layer, as the paper counts them. */
  frozenExtra: number;
}

/** An adapter's numbers in each unit that a budget can have. */
export interface Measures {
  trainable: number;
  frozenExtra: number;
  /** trainable / (base + frozenExtra + trainable) in percent: "# Params (%)" of the paper and of PEFT. */
  percentPaper: number;
  /** trainable / base in percent. */
  percentBase: number;
  /** Bytes of the adapter's tensors: trainable numbers in f32 or bf16, pivots and frozen bases in 32 bits. */
  adapterBytes: { f32: number; bf16: number };
}

export interface ParameterCount extends Measures {
  base: number;
  perModule: ModuleCount[];
}

/**
 * Trainable parameters, frozen extra and bytes of an adapter on a model (method.md's table; the paper's Tables 1, 2, 6
 * and 7 follow).
 * @throws StudioError config_invalid as checkSize does, and where a number is too large to be exact
 */
export function countParameters(shape: ModelShape, adapter: AdapterConfig): ParameterCount {
  checkSize(shape, adapter);
  const base = baseParameters(shape);
  const method = methodOf(adapter);
  // Full fine-tuning ignores the targets: it trains everything, embeddings and norms too.
  if (!method) return exact({ ...fullMeasures(base), base, perModule: [] });
  const groups = siteGroups(shape, adapter).map((group) => ({
    ...group,
    numbers: moduleNumbers(method, group.size, group.own),
  }));
  const total = (key: keyof Numbers) =>
    groups.reduce(
      (sum, { layers, numbers }) => sum + layers * numbers[key],
      sharedNumbers(method, adapter)[key],
    );
  const measures = measuresOf(base, {
    trainable: total('trainable'),
    frozenExtra: total('frozenExtra'),
    indices: total('indices'),
  });
  return exact({
    ...measures,
    base,
    perModule: groups.map(({ module, layers, own, size, numbers: { trainable, frozenExtra } }) => ({
      module,
      layers,
      rank: own.rank,
      ...size,
      trainable,
      frozenExtra,
    })),
  });
}

/** Of one module, without checks. */
export function moduleNumbers(method: AdapterMethod, size: LinearSize, own: AdapterConfig): Numbers {
  return { ...stored(method.parameters(size, own)), frozenExtra: method.frozenExtra(size, own) };
}

/** Of what all adapted modules share. */
export function sharedNumbers(method: AdapterMethod, adapter: AdapterConfig): Numbers {
  return { ...stored(method.sharedParameters(adapter)), frozenExtra: 0 };
}

export function measuresOf(base: number, { trainable, frozenExtra, indices }: Numbers): Measures {
  return {
    trainable,
    frozenExtra,
    percentPaper: (100 * trainable) / (base + frozenExtra + trainable),
    percentBase: (100 * trainable) / base,
    adapterBytes: { f32: 4 * (trainable + indices), bf16: 2 * trainable + 4 * indices },
  };
}

/** Full fine-tuning is no addition to the base: its share is 100 % in both definitions. */
export function fullMeasures(base: number): Measures {
  const adapterBytes = { f32: 4 * base, bf16: 2 * base };
  return { trainable: base, frozenExtra: 0, percentPaper: 100, percentBase: 100, adapterBytes };
}

/** @throws StudioError config_invalid */
function exact(count: ParameterCount): ParameterCount {
  const { base, trainable, frozenExtra, adapterBytes } = count;
  if ([base, trainable, frozenExtra, adapterBytes.f32].every(Number.isSafeInteger)) return count;
  throw impossible(
    'The counts go beyond 9,007,199,254,740,991 (2^53 - 1) and would no longer be exact.',
    'Check the sizes of the model; choose a smaller rank, fewer heads or experts.',
  );
}

function stored(parameters: readonly ParameterSpec[]): { trainable: number; indices: number } {
  let [trainable, indices] = [0, 0];
  for (const { shape, trainable: isTrained } of parameters) {
    const numbers = shape.reduce((product, size) => product * size, 1);
    if (isTrained) trainable += numbers;
    else indices += numbers;
  }
  return { trainable, indices };
}

/** Trainable numbers of every adapted module in every layer. */
export interface LayerCounts {
  modules: TargetModule[];
  /** Layers of the model. */
  layers: number;
  /** [layer, index in `modules`, trainable numbers] of every adapted module. */
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
