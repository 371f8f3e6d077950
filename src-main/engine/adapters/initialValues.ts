import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { modulePath } from '../../shape/adapterSites.ts';
import { StudioError } from '../../contract/errors.ts';
import { rowStrategies } from '../../contract/training.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';
import { SafetensorsFile, writeSafetensors } from '../../formats/files/safetensors.ts';
import { elementCount } from '../graph/dtype.ts';
import { hostBytes } from '../graph/session.ts';
import { storedType } from '../model/baseWeights.ts';
import type { WeightSource } from '../model/weightSource.ts';
import type { AdapterParameter, AdapterPlace } from '../model/modelGraph.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { gaussianBases, singularBases } from './pivots/bases.ts';
import type { PivotChooser } from './pivots/pivots.ts';

/**
 * The value a parameter has before training. Random ones depend on the seed and the parameter's name only, so that one
 * module's start is the same whichever others are adapted.
 * @param pivots where pivots come from
 */
export async function initialValue(
  parameter: AdapterParameter,
  source: WeightSource,
  seed: number,
  pivots: PivotPlace,
): Promise<Uint8Array> {
  const { spec, variable } = parameter;
  const count = elementCount(variable.shape);
  switch (spec.initial.kind) {
    case 'zeros':
      return new Uint8Array(count * 4);
    case 'uniform': {
      const random = createRandom(seedFrom(seed, 'initial', variable.name));
      const { bound } = spec.initial;
      return hostBytes(Float32Array.from({ length: count }, () => (2 * random.next() - 1) * bound));
    }
    case 'normal': {
      const random = createRandom(seedFrom(seed, 'initial', variable.name));
      const { deviation } = spec.initial;
      return hostBytes(Float32Array.from({ length: count }, () => random.normal() * deviation));
    }
    case 'rowNorms': {
      const { site, shape } = parameter.place!;
      const { dIn, dOut } = shape;
      const name = `${modulePath(site)}.weight`;
      const rows = asFloat32(source.read(name), source.info(name)!.dtype);
      return hostBytes(
        Float32Array.from({ length: dOut }, (_, row) => {
          let total = 0;
          for (let i = row * dIn; i < (row + 1) * dIn; i++) total += rows[i]! * rows[i]!;
          return Math.sqrt(total);
        }),
      );
    }
    case 'pivots':
      return hostBytes(await pivotsOf(parameter.place!, source, seed, pivots));
    case 'bases': {
      const { site, shape } = parameter.place!;
      const name = `${modulePath(site)}.weight`;
      const { dtype } = source.info(name)!;
      const bytes = source.read(name);
      checkFinite(bytes, dtype, shape.dOut, name);
      const { strategy, clusters } = spec.initial;
      const weight = { rows: asFloat32(bytes, dtype), ...shape };
      if (strategy === 'svd')
        return hostBytes(
          await singularBases(pivots.chooser.tensorflow, weight, { clusters, count: spec.shape[0]! }),
        );
      const random = createRandom(seedFrom(seed, 'bases', name));
      return hostBytes(gaussianBases(weight, spec.shape[0]!, random));
    }
    default:
      throw new Error(`unknown start ${JSON.stringify(spec.initial satisfies never)}`);
  }
}

/** How the pivots of ID-LoRA are found. */
export interface PivotPlace {
  chooser: PivotChooser;
  /** Pivots are kept here by weight hash; null: not kept. */
  cacheFolder: string | null;
}

async function pivotsOf(
  { site, shape, adapter }: AdapterPlace,
  source: WeightSource,
  seed: number,
  { chooser, cacheFolder }: PivotPlace,
): Promise<Int32Array> {
  const { dIn, dOut } = shape;
  const { clusters, rank } = adapter;
  // Bases that are no rows have no pivots (methods/idLora.ts).
  const strategy = rowStrategies.find((known) => known === adapter.pivots)!;
  const name = `${modulePath(site)}.weight`;
  const pivotSeed = seedFrom(seed, 'pivots', name);
  const bytes = strategy === 'pmrc' ? source.read(name) : new Uint8Array(0);
  const choose = () => {
    const { dtype } = source.info(name)!;
    if (strategy === 'pmrc') checkFinite(bytes, dtype, dOut, name);
    return chooser.choose(
      strategy,
      { count: dOut, dimensions: dIn, stored: storedType(dtype), bytes: () => bytes },
      { clusters, rank, seed: pivotSeed },
    );
  };
  if (strategy !== 'pmrc' || !cacheFolder) return choose();
  const key = createHash('sha256')
    .update(bytes)
    .update(`pmrc 4 ${clusters} ${rank} ${pivotSeed}`)
    .digest('hex');
  const path = join(cacheFolder, 'pivots', `${key}.safetensors`);
  const cached = readCachedPivots(path, clusters * rank, dOut);
  if (cached) return cached;
  const pivots = await choose();
  writeSafetensors(path, [{ name: 'pivots', dtype: 'I32', shape: [pivots.length], data: hostBytes(pivots) }]);
  return pivots;
}

/** Bits of the exponent: all set in a number that is not finite. */
const exponents: Readonly<Record<string, { view: typeof Uint16Array | typeof Uint32Array; mask: number }>> = {
  BF16: { view: Uint16Array, mask: 0x7f80 },
  F16: { view: Uint16Array, mask: 0x7c00 },
  F32: { view: Uint32Array, mask: 0x7f80_0000 },
};

/**
 * Refuses rows with values that are not finite: they have no distance to others. It reads bits, because widening fifty
 * million numbers would take seconds.
 * @throws StudioError model_invalid with the tensor and the row
 */
function checkFinite(bytes: Uint8Array, dtype: string, rows: number, name: string): void {
  const { view, mask } = exponents[dtype]!;
  const size = view.BYTES_PER_ELEMENT;
  const { buffer, byteOffset } = bytes.byteOffset % size === 0 ? bytes : Uint8Array.from(bytes);
  const numbers = new view(buffer as ArrayBuffer, byteOffset, bytes.byteLength / size);
  for (let i = 0; i < numbers.length; i++)
    if ((numbers[i]! & mask) === mask)
      throw new StudioError(
        'model_invalid',
        `${name} has a value in row ${Math.floor((i * rows) / numbers.length)} that is no finite number.`,
        'Take weights that were saved before they went wrong: an earlier checkpoint, or the model that they were made from.',
      );
}

/** Null where there is no usable cache file: it is only a cache. */
function readCachedPivots(path: string, count: number, rows: number): Int32Array | null {
  if (!existsSync(path)) return null;
  try {
    const file = new SafetensorsFile(path, 'internal');
    try {
      const pivots = new Int32Array(file.read('pivots').buffer);
      return pivots.length === count && pivots.every((row) => row >= 0 && row < rows) ? pivots : null;
    } finally {
      file.close();
    }
  } catch {
    return null;
  }
}
