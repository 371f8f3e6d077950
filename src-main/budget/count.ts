import { StudioError } from '../contract/errors.ts';
import type { AdapterConfig, TargetModule } from '../contract/training.ts';
import { baseParameters, moduleSize, type ModelShape } from './modelShape.ts';

/** The options of an adapter that decide its size. */
export type AdapterSize = Pick<
  AdapterConfig,
  'method' | 'rank' | 'targets' | 'clusters' | 'boost' | 'router' | 'heads' | 'experts'
>;

export interface ModuleCount {
  module: TargetModule;
  layers: number;
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

/** Trainable parameters and frozen extra of one module (method.md's table; the paper's Tables 1, 2, 6 and 7 follow). */
export function moduleCount(
  size: { dIn: number; dOut: number },
  adapter: AdapterSize,
): { trainable: number; frozenExtra: number } {
  const { dIn, dOut } = size;
  const { rank: r, clusters: k, boost: s, heads, experts } = adapter;
  switch (adapter.method) {
    case 'full':
      return { trainable: dIn * dOut, frozenExtra: 0 };
    case 'lora':
      return { trainable: r * (dIn + dOut), frozenExtra: 0 };
    case 'dora':
      return { trainable: r * (dIn + dOut) + dOut, frozenExtra: 0 };
    case 'hydralora':
      return { trainable: r * dIn + heads * r * dOut + heads * dIn, frozenExtra: 0 };
    case 'moelora':
      return { trainable: experts * r * (dIn + dOut) + experts * dIn, frozenExtra: 0 };
    case 'idlora':
      return {
        trainable: (dOut / s) * (r / s) + (adapter.router === 'input' ? k * dIn : r),
        frozenExtra: k * r * dIn,
      };
    default:
      throw new Error(`unknown method ${String(adapter.method satisfies never)}`);
  }
}

/** @throws StudioError config_invalid as checkAdapter does */
export function countParameters(shape: ModelShape, adapter: AdapterSize): ParameterCount {
  checkAdapter(shape, adapter);
  const base = baseParameters(shape);
  const perModule = adapter.targets.map((module) => {
    const size = moduleSize(shape, module);
    return { module, layers: shape.layers, ...size, ...moduleCount(size, adapter) };
  });
  const total = (key: 'trainable' | 'frozenExtra') =>
    perModule.reduce((sum, entry) => sum + entry.layers * entry[key], 0);
  // Full fine-tuning trains everything, embeddings and norms too, whatever the targets.
  const trainable = adapter.method === 'full' ? base : total('trainable');
  const frozenExtra = total('frozenExtra');
  const all = adapter.method === 'full' ? base : base + frozenExtra + trainable;
  const pivotBytes =
    adapter.method === 'idlora'
      ? 4 * adapter.clusters * adapter.rank * shape.layers * adapter.targets.length
      : 0;
  return {
    trainable,
    frozenExtra,
    base,
    percentPaper: (100 * trainable) / all,
    percentBase: (100 * trainable) / base,
    adapterBytes: { f32: 4 * trainable + pivotBytes, bf16: 2 * trainable + pivotBytes },
    perModule,
  };
}

/** Largest rank that every target of the model admits. */
export function largestRank(shape: ModelShape, adapter: Omit<AdapterSize, 'rank'>): number {
  const sizes = adapter.targets.map((module) => moduleSize(shape, module));
  const rows = Math.min(...sizes.map(({ dOut }) => dOut));
  const columns = Math.min(...sizes.map(({ dIn }) => dIn));
  if (adapter.method === 'idlora') return Math.floor(rows / adapter.clusters / adapter.boost) * adapter.boost;
  return Math.min(rows, columns);
}

/**
 * Checks that an adapter's options are possible for a model.
 * @throws StudioError config_invalid with the nearest possible values
 */
export function checkAdapter(shape: ModelShape, adapter: AdapterSize): void {
  if (adapter.method === 'full') return;
  const { rank, clusters, boost } = adapter;
  const impossible = (message: string, remedy: string) => new StudioError('config_invalid', message, remedy);
  if (adapter.method === 'idlora') {
    if (rank % boost !== 0)
      throw impossible(
        `ID-LoRA cuts the rank into ${boost} equal parts (boost), but rank ${rank} is no multiple of ${boost}.`,
        `Choose rank ${Math.max(boost, Math.floor(rank / boost) * boost)} or ${Math.ceil(rank / boost) * boost}, or boost 1.`,
      );
    for (const module of adapter.targets) {
      const { dOut } = moduleSize(shape, module);
      if (dOut % boost !== 0)
        throw impossible(
          `Boost ${boost} does not divide the ${dOut} outputs of ${module}.`,
          `Choose a boost that divides ${dOut}, for example ${divisorBelow(dOut, boost)}.`,
        );
      if (clusters * rank > dOut)
        throw impossible(
          `ID-LoRA needs clusters x rank = ${clusters} x ${rank} = ${clusters * rank} different rows of ${module}, which has ${dOut}.`,
          `Choose rank ${Math.max(boost, largestRank(shape, adapter))} or less, fewer clusters (${Math.max(1, Math.floor(dOut / rank))}), or leave out ${module}.`,
        );
    }
    return;
  }
  const most = largestRank(shape, adapter);
  if (rank > most)
    throw impossible(
      `Rank ${rank} is larger than the smallest side of the chosen modules, ${most}.`,
      `Choose rank ${most} or less.`,
    );
}

function divisorBelow(value: number, limit: number): number {
  for (let candidate = limit - 1; candidate > 1; candidate--) if (value % candidate === 0) return candidate;
  return 1;
}
