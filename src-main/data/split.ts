import { heldOutCount } from '../options/lengths.ts';
import { createRandom } from '../statistics/random.ts';

/**
 * Chooses held-out rows by seed.
 * @returns indices of both parts, each in file order; at least one row stays for training
 */
export function splitRows(
  rows: number,
  heldOutFraction: number,
  seed: number,
): { train: number[]; heldOut: number[] } {
  const wanted = heldOutCount(rows, heldOutFraction);
  const shuffled = createRandom(seed).shuffle([...Array(rows).keys()]);
  const heldOut = new Set(shuffled.slice(0, wanted));
  const all = [...Array(rows).keys()];
  return {
    train: all.filter((row) => !heldOut.has(row)),
    heldOut: all.filter((row) => heldOut.has(row)),
  };
}
