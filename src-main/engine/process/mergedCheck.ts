import type { PeftCheck } from '../../contract/results.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { asFloat32 } from '../../formats/files/floats.ts';
import { dequantized } from '../../formats/gguf/blocks.ts';
import { tensorTypes } from '../../formats/gguf/ggufTypes.ts';
import { quantized, type WrittenType } from '../../formats/gguf/quantize.ts';
import { WeightFolder } from '../../formats/model/weightFolder.ts';
import { modulePath, type AdapterSite } from '../../shape/adapterSites.ts';
import { greater } from '../../statistics/greatest.ts';

/** So many modules, from first to last, and rows of each are compared. */
const comparedModules = 4;
const comparedRows = 8;

/**
 * Share of a row's greatest number by which a type may round it. Blocks have a step for their numbers of which this is
 * more than half; Q5_0 and Q6_K cut one end of theirs by a whole one, and what Q4_K and Q5_K search may be farther off.
 */
const rounding: Readonly<Record<string, number>> = {
  F32: 2 ** -18,
  BF16: 2 ** -8,
  F16: 2 ** -10,
  Q8_0: 1 / 200,
  Q6_K: 1 / 24,
  Q5_1: 1 / 24,
  Q5_0: 1 / 14,
  Q5_K: 1 / 8,
  Q4_K: 1 / 4,
};

/**
 * Share of a module's blocks that may be stored otherwise than what is expected rounds to: it is computed in f64 here
 * and in f32 there, and few numbers lie so near to a limit that this moves them. An update that is missing moves most.
 */
const otherBlocks = 1 / 16;

/** What is merged into the rows of one weight. */
export interface MergedUpdate {
  /** c B [dOut, r] and A [r, dIn]. */
  up: Float32Array;
  down: Float32Array;
  /** DoRA's magnitude [dOut]; null: the update is added. */
  magnitude: Float32Array | null;
}

export type MergeOf = (path: string, own: AdapterConfig) => MergedUpdate;

/**
 * Compares rows of merged files with W + c B A in f64, whatever wrote them: with what that rounds to, block by block.
 * @param typeOf how the files store a weight; absent: as they say
 */
export function checkMerged(
  folder: string,
  {
    base,
    sites,
    mergeOf,
    typeOf,
  }: {
    base: WeightFolder;
    sites: readonly AdapterSite<AdapterConfig>[];
    mergeOf: MergeOf;
    typeOf?: (name: string) => WrittenType;
  },
): PeftCheck {
  const written = new WeightFolder(folder);
  try {
    let [modules, rows, worst, isEqual] = [0, 0, 0, true];
    const step = Math.max(1, Math.floor(sites.length / comparedModules));
    for (const { site, adapter } of sites.filter((_, i) => i % step === 0).slice(0, comparedModules)) {
      const path = modulePath(site);
      const merge = mergeOf(path, adapter);
      const name = `${path}.weight`;
      const type = (typeOf?.(name) ?? written.info(name)!.dtype) as WrittenType;
      let [blocks, others] = [0, 0];
      const [dOut = 1, dIn = 1] = base.info(name)!.shape;
      modules++;
      let own = 0;
      const chosen = Array.from({ length: comparedRows }, (_, i) => Math.floor((i * dOut) / comparedRows));
      for (const row of new Set(chosen)) {
        const expected = expectedRow(rowOf(base, name, row), merge, row);
        const found = rowOf(written, name, row);
        const greatest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        for (let j = 0; j < dIn; j++) {
          const share = Math.abs(found[j]! - expected[j]!) / (greatest || 1);
          own = greater(own, share);
        }
        const blockLength = tensorTypes[type].blockLength;
        const rounded = dequantized(quantized(Float32Array.from(expected), type), type);
        for (let first = 0; first < dIn; first += blockLength) {
          blocks++;
          if (differs(found, rounded, first, first + blockLength)) others++;
        }
        rows++;
      }
      worst = greater(worst, own);
      isEqual &&= own <= rounding[type]!;
      // In f32 a sum in another order moves nearly every number by a unit, and the bound above sees it.
      isEqual &&= type === 'F32' || others <= Math.max(1, otherBlocks * blocks);
    }
    const maxDifference = Number.isFinite(worst) ? worst : Number.MAX_VALUE;
    return { isEqual, modules, expectedModules: modules, rows, maxDifference };
  } finally {
    written.close();
  }
}

function differs(a: ArrayLike<number>, b: ArrayLike<number>, begin: number, end: number): boolean {
  for (let i = begin; i < end; i++) if (a[i] !== b[i]) return true;
  return false;
}

function rowOf(weights: WeightFolder, name: string, row: number): Float64Array {
  const { dtype, shape, byteLength } = weights.info(name)!;
  const bytes = byteLength / shape[0]!;
  return Float64Array.from(asFloat32(weights.readRange(name, row * bytes, (row + 1) * bytes), dtype));
}

function expectedRow(weight: Float64Array, { up, down, magnitude }: MergedUpdate, row: number): Float64Array {
  const dIn = weight.length;
  const rank = down.length / dIn;
  for (let j = 0; j < dIn; j++)
    for (let k = 0; k < rank; k++) weight[j]! += up[row * rank + k]! * down[k * dIn + j]!;
  if (magnitude) {
    const norm = Math.sqrt(weight.reduce((sum, value) => sum + value * value, 0));
    for (let j = 0; j < dIn; j++) weight[j]! *= magnitude[row]! / norm;
  }
  return weight;
}
