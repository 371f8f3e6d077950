import type { PeftCheck } from '../../contract/results.ts';
import type { AdapterConfig } from '../../contract/training.ts';
import { openPeftUpdate } from '../../formats/adapter/peftUpdate.ts';
import { modulePath, type AdapterSite } from '../../shape/adapterSites.ts';
import { greater } from '../../statistics/greatest.ts';

/** So many modules, from first to last, and rows of each are compared. */
const comparedModules = 4;
const comparedRows = 8;

/** Largest difference as a share of the greatest number of the updates: both come in f64 from equal numbers. */
const updateTolerance = 1e-9;

/** What the files of one module must amount to: the update scale * b a, and DoRA's magnitude. */
export interface ExpectedUpdate {
  rank: number;
  /** [rank, dIn] */
  a: Float32Array;
  /** [dOut, rank] */
  b: Float32Array;
  scale: number;
  /** [dOut]; null: the update is added. */
  magnitude: Float32Array | null;
  /** A row of the base weight; only DoRA reads it. */
  weight(row: number): ArrayLike<number>;
}

/**
 * Compares the updates that are meant with what PEFT makes of the exported files, in plain arithmetic.
 * @param tolerance greatest difference as a share of the greatest number
 */
export function checkAsPeft(
  folder: string,
  sites: readonly AdapterSite<AdapterConfig>[],
  expectedOf: (path: string, own: AdapterConfig) => ExpectedUpdate,
  tolerance = updateTolerance,
): PeftCheck {
  const exported = openPeftUpdate(folder);
  try {
    const paths = new Set(sites.map(({ site }) => modulePath(site)));
    let isEqual = exported.unread.length === 0 && exported.paths.length === paths.size;
    let [rows, maxDifference, greatest] = [0, 0, 0];
    const step = Math.max(1, Math.floor(sites.length / comparedModules));
    for (const { site, adapter } of sites.filter((_, i) => i % step === 0).slice(0, comparedModules)) {
      const path = modulePath(site);
      if (!exported.paths.includes(path)) {
        isEqual = false;
        continue;
      }
      const expected = expectedOf(path, adapter);
      const chosen = comparedOf(expected);
      const theirs = exported.rows(path, chosen, (row) => expected.weight(row));
      for (const [i, row] of chosen.entries()) {
        for (const [column, number] of expectedRow(expected, row).entries()) {
          const difference = Math.abs(number - theirs[i]![column]!);
          maxDifference = greater(maxDifference, difference);
          greatest = Math.max(greatest, Math.abs(number));
        }
        rows++;
      }
    }
    const share = maxDifference === 0 ? 0 : maxDifference / greatest;
    return {
      isEqual: isEqual && share <= tolerance,
      modules: exported.paths.length,
      expectedModules: paths.size,
      rows,
      maxDifference: Number.isFinite(share) ? share : Number.MAX_VALUE,
    };
  } finally {
    exported.close();
  }
}

function comparedOf({ b, rank }: ExpectedUpdate): number[] {
  const dOut = b.length / rank;
  const rows = Array.from({ length: comparedRows }, (_, i) => Math.floor((i * dOut) / comparedRows));
  return [...new Set(rows)];
}

/** A row of the update: scale b a, and with DoRA (m / n - 1) W + (m / n) D, n = ||W + D||. */
function expectedRow({ rank, a, b, scale, magnitude, weight }: ExpectedUpdate, row: number): number[] {
  const dIn = a.length / rank;
  const update = Array.from({ length: dIn }, (_, column) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b[row * rank + k]! * a[k * dIn + column]!;
    return scale * sum;
  });
  if (!magnitude) return update;
  const base = weight(row);
  const squares = update.reduce((sum, number, i) => sum + (base[i]! + number) ** 2, 0);
  const ratio = magnitude[row]! / Math.sqrt(squares);
  return update.map((number, i) => (ratio - 1) * base[i]! + ratio * number);
}
