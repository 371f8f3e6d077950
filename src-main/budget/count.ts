import type { TargetModule } from '../contract/training.ts';
import { adapterSites } from './adapterSites.ts';
import { checkSize } from './check.ts';
import type { AdapterSize, LinearShape, ParameterSpec } from './methods/method.ts';
import { methodDeclarations } from './methods/registry.ts';
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
export function countParameters(shape: ModelShape, adapter: AdapterSize): ParameterCount {
  checkSize(shape, adapter);
  const base = baseParameters(shape);
  // Full fine-tuning trains everything, embeddings and norms too, whatever the targets.
  if (adapter.method === 'full')
    return summary(base, { trainable: base, frozenExtra: 0, indices: 0, all: base, perModule: [] });
  const declaration = methodDeclarations[adapter.method];
  const perModule = modulesOf(shape, adapter);
  const shared = declaration.sharedParameters(adapter);
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
export function trainableCount(shape: ModelShape, adapter: AdapterSize): number {
  if (adapter.method === 'full') return baseParameters(shape);
  const shared = trainableIn(methodDeclarations[adapter.method].sharedParameters(adapter));
  return modulesOf(shape, adapter).reduce((sum, entry) => sum + entry.layers * entry.trainable, shared);
}

/** Adapted modules of equal size and rank, counted from the parameters that the method declares for one of them. */
function modulesOf(shape: ModelShape, adapter: AdapterSize): (ModuleCount & { indices: number })[] {
  const { method } = adapter;
  if (method === 'full') return [];
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

  function moduleCount(size: LinearShape, own: AdapterSize) {
    const declaration = methodDeclarations[method as Exclude<typeof method, 'full'>];
    const parameters = declaration.parameters(size, own);
    const trainable = trainableIn(parameters);
    return {
      ...size,
      trainable,
      frozenExtra: declaration.frozenExtra(size, own),
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
