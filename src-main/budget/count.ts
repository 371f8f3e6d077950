import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import type { AdapterMethod, LinearShape, ParameterSpec } from '../methods/method.ts';
import { methodOf } from '../methods/registry.ts';
import { adapterSites } from './adapterSites.ts';
import { checkSize } from './check.ts';
import { baseParameters, moduleSize, type ModelShape } from './modelShape.ts';

export interface ModuleCount {
  module: TargetModule;
  /** Layers in which the module has this rank; one entry for each rank. */
  layers: number;
  rank: number;
  dIn: number;
  dOut: number;
  /** In one layer. */
  trainable: number;
  /** Frozen numbers beyond the base in one layer, as the paper counts them. */
  frozenExtra: number;
}

export interface ParameterCount {
  trainable: number;
  frozenExtra: number;
  base: number;
  /** trainable / (base + frozenExtra + trainable) in percent: "# Params (%)" of the paper and of PEFT. */
  percentPaper: number;
  /** trainable / base in percent. */
  percentBase: number;
  /** Bytes of the adapter's tensors: trainable numbers in f32 or bf16, pivots in i32. */
  adapterBytes: { f32: number; bf16: number };
  perModule: ModuleCount[];
}

/**
 * Trainable parameters, frozen extra and bytes of an adapter on a model (method.md's table; the paper's Tables 1, 2, 6 and 7 follow).
 * @throws StudioError config_invalid as checkSize does
 */
export function countParameters(shape: ModelShape, adapter: AdapterConfig): ParameterCount {
  checkSize(shape, adapter);
  const base = baseParameters(shape);
  const method = methodOf(adapter);
  // Full fine-tuning trains everything, embeddings and norms too, whatever the targets.
  if (!method)
    return summary(base, { trainable: base, frozenExtra: 0, indices: 0, all: base, perModule: [] });
  const perModule = modulesOf(shape, adapter, method);
  const shared = method.sharedParameters(adapter);
  const total = (of: (entry: (typeof perModule)[number]) => number) =>
    perModule.reduce((sum, entry) => sum + entry.layers * of(entry), 0);
  const trainable = total((entry) => entry.trainable) + trainableIn(shared);
  const frozenExtra = total((entry) => entry.frozenExtra);
  return summary(base, {
    trainable,
    frozenExtra,
    indices: total((entry) => entry.indices),
    all: base + frozenExtra + trainable,
    perModule: perModule.map(({ indices: _, ...entry }) => entry),
  });
}

function summary(
  base: number,
  found: { trainable: number; frozenExtra: number; indices: number; all: number; perModule: ModuleCount[] },
): ParameterCount {
  const { trainable, frozenExtra, indices, all, perModule } = found;
  return {
    trainable,
    frozenExtra,
    base,
    percentPaper: (100 * trainable) / all,
    percentBase: (100 * trainable) / base,
    adapterBytes: { f32: 4 * (trainable + indices), bf16: 2 * trainable + 4 * indices },
    perModule,
  };
}

/** Trainable parameters of an adapter, without checks: for ranks that are multiples of the method's step. */
export function trainableCount(shape: ModelShape, adapter: AdapterConfig): number {
  const method = methodOf(adapter);
  if (!method) return baseParameters(shape);
  const shared = trainableIn(method.sharedParameters(adapter));
  return modulesOf(shape, adapter, method).reduce(
    (sum, entry) => sum + entry.layers * entry.trainable,
    shared,
  );
}

/** Adapted modules of equal size and rank, counted from the parameters that the method declares for one of them. */
function modulesOf(
  shape: ModelShape,
  adapter: AdapterConfig,
  method: AdapterMethod,
): (ModuleCount & { indices: number })[] {
  const found = new Map<string, ModuleCount & { indices: number }>();
  for (const { site, adapter: own } of adapterSites(shape, adapter)) {
    const key = `${site.module} ${own.rank}`;
    const known = found.get(key);
    if (known) known.layers++;
    else
      found.set(key, {
        module: site.module,
        layers: 1,
        rank: own.rank,
        ...moduleCount(moduleSize(shape, site.module), own),
      });
  }
  return [...found.values()];

  function moduleCount(size: LinearShape, own: AdapterConfig) {
    const parameters = method.parameters(size, own);
    const trainable = trainableIn(parameters);
    return {
      ...size,
      trainable,
      frozenExtra: method.frozenExtra(size, own),
      indices: numbersIn(parameters) - trainable,
    };
  }
}

function numbersIn(parameters: readonly ParameterSpec[]): number {
  return parameters.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
}

function trainableIn(parameters: readonly ParameterSpec[]): number {
  return numbersIn(parameters.filter(({ trainable }) => trainable));
}
