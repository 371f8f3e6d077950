import { createHash } from 'node:crypto';
import type { MixDeduplication } from '../../contract/mixing/mixes.ts';
import { heldOutCount } from '../../options/lengths.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';
import type { FittedRows } from './fittedRows.ts';

/** Rows of one source that a run trains on and holds out, and what became of the others. */
export interface SelectedRows {
  /** Row numbers in the order of their keys: which rows these are does not depend on their place in the file. */
  train: Uint32Array;
  heldOut: Uint32Array;
  /** Says what the training rows are (OrderedSource.key). */
  key: string;
  duplicateRows: number;
  /** Training rows that another source holds out. */
  heldOutElsewhere: number;
  /** Rows to train on without a label within the context. */
  droppedRows: number;
  /** Rows to train on that have no token: the template does not take them. */
  refusedRows: number;
  /** Rows to train on that are cut to the context. */
  truncatedRows: number;
}

/**
 * Which rows of several sources are trained on, in this order of work: rows that say the same are dropped, where asked
 * for; each source is split, rows that say the same together; what one source holds out no other trains on; rows
 * without a label within the context go. So nothing that is repeated later can reach both parts.
 *
 * @param sources the rows to split; `validation`: rows that are held out instead of a part of the others
 * @param options.heldOutFraction of the rows of each source without rows for validation
 */
export function selectRows(
  sources: readonly { rows: FittedRows; validation: FittedRows | null }[],
  options: { deduplicate: MixDeduplication; heldOutFraction: number; seed: number },
): SelectedRows[] {
  const unique = withoutDuplicates(
    sources.map(({ rows }) => rows.keys),
    options.deduplicate,
  );
  const splits = sources.map(({ rows, validation }, i) =>
    validation && options.heldOutFraction > 0
      ? { train: unique[i]!, heldOut: byKey(validation.keys), heldOutKeys: validation.keys }
      : splitByKey(unique[i]!, rows.keys, options),
  );
  const heldOut = splits.map(({ heldOutKeys }) => new Set(heldOutKeys));
  return splits.map((split, i) => {
    const { rows, validation } = sources[i]!;
    const free = split.train.filter((row) => !heldOut.some((keys) => keys.has(rows.keys[row]!)));
    const train = free.filter((row) => rows.labels[row]! > 0);
    const heldOutRows = validation && options.heldOutFraction > 0 ? validation : rows;
    return {
      train,
      heldOut: split.heldOut.filter((row) => heldOutRows.labels[row]! > 0),
      key: keyOf(train, rows.keys),
      duplicateRows: rows.keys.length - unique[i]!.length,
      heldOutElsewhere: split.train.length - free.length,
      droppedRows: free.filter((row) => rows.labels[row] === 0 && rows.wholeTokens[row]! > 0).length,
      refusedRows: free.filter((row) => rows.wholeTokens[row] === 0).length,
      truncatedRows: train.filter((row) => rows.tokens[row]! < rows.wholeTokens[row]!).length,
    };
  });
}

/** Rows of each source in the order of their keys, those left out that say what one before them says. */
function withoutDuplicates(sources: readonly Float64Array[], deduplicate: MixDeduplication): Uint32Array[] {
  const everywhere = new Set<number>();
  return sources.map((keys) => {
    const order = byKey(keys);
    if (deduplicate === 'none') return order;
    const seen = deduplicate === 'across' ? everywhere : new Set<number>();
    return order.filter((row) => {
      const isNew = !seen.has(keys[row]!);
      seen.add(keys[row]!);
      return isNew;
    });
  });
}

/**
 * Holds out the rows that a shuffle by seed puts first. Rows with one key are one: all of them are held out, or none.
 * So a dataset in which every row is repeated may hold out a few less than asked for, or more.
 */
function splitByKey(
  order: Uint32Array,
  keys: Float64Array,
  { heldOutFraction, seed }: { heldOutFraction: number; seed: number },
): { train: Uint32Array; heldOut: Uint32Array; heldOutKeys: Iterable<number> } {
  const wanted = order.length === 0 ? 0 : heldOutCount(order.length, heldOutFraction);
  const count = new Map<number, number>();
  for (const row of order) count.set(keys[row]!, (count.get(keys[row]!) ?? 0) + 1);
  const heldOutKeys = new Set<number>();
  const distinct = [...count.keys()];
  const shuffled = createRandom(seedFrom(seed, 'split')).shuffle(distinct);
  let rows = 0;
  const take = (key: number) => {
    heldOutKeys.add(key);
    rows += count.get(key)!;
  };
  for (const key of shuffled) if (rows + count.get(key)! <= wanted) take(key);
  // Where every row stands more often than rows are wanted, one of them is held out all the same.
  if (rows === 0 && wanted > 0 && distinct.length > 1) take(shuffled[0]!);
  return {
    train: order.filter((row) => !heldOutKeys.has(keys[row]!)),
    heldOut: order.filter((row) => heldOutKeys.has(keys[row]!)),
    heldOutKeys,
  };
}

/** Row numbers by their keys; rows with one key in file order. */
function byKey(keys: Float64Array): Uint32Array {
  return Uint32Array.from(keys, (_, row) => row).sort((a, b) => keys[a]! - keys[b]! || a - b);
}

function keyOf(rows: Uint32Array, keys: Float64Array): string {
  const sorted = Float64Array.from(rows, (row) => keys[row]!);
  return createHash('sha256').update(new Uint8Array(sorted.buffer)).digest('hex').slice(0, 32);
}
