import type { MixOrder } from '../../contract/mixing/mixes.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';

/** The rows of a source that are trained on, and how much of it one pass over the mix takes. */
export interface OrderedSource {
  /** Decides its shuffles, whatever its place in the mix: equal rows have equal seeds (data/mix/select.ts). */
  key: string;
  /** Units of each row, above 0, in the order of the rows' keys. */
  units: Uint32Array;
  /** Units of one pass over the mix; may be more than one pass over the source. */
  amount: number;
}

/**
 * Which rows of a source a pass over the mix takes, in order. A source is an endless sequence of passes over itself,
 * each shuffled anew; pass e over the mix takes the rows whose middle lies between e and e + 1 times the amount. So no
 * row comes a second time before all others came once, wherever a pass over the mix ends.
 * @returns places in `units`
 */
export function takenRows(source: OrderedSource, seed: number, epoch: number): Uint32Array {
  const { units, amount, key } = source;
  const whole = units.reduce((total, unit) => total + unit, 0);
  if (whole === 0 || amount === 0) return new Uint32Array(0);
  const [begin, end] = [epoch * amount, (epoch + 1) * amount];
  const taken: Uint32Array[] = [];
  for (let pass = Math.floor(begin / whole); pass * whole < end; pass++) {
    const order = createRandom(seedFrom(seed, 'pass', key, pass)).shuffleInPlace(
      Uint32Array.from(units, (_, i) => i),
    );
    let [from, to, at] = [order.length, order.length, pass * whole];
    for (let i = 0; i < order.length; i++) {
      const middle = at + units[order[i]!]! / 2;
      if (middle >= begin) from = Math.min(from, i);
      if (middle >= end) {
        to = i;
        break;
      }
      at += units[order[i]!]!;
    }
    taken.push(order.subarray(from, to));
  }
  return joined(taken);
}

/**
 * The rows of a pass over a mix: those of each source in their own order, interleaved so that every stretch holds the
 * shares of the whole. A pure function of its arguments: what a run's rows are does not depend on the machine, nor on
 * the order of the sources.
 * @returns [place of the source, place of the row in its `units`] one behind the other
 */
export function epochOrder(
  sources: readonly OrderedSource[],
  { seed, order }: { seed: number; order: MixOrder },
  epoch: number,
): Uint32Array {
  const taken = sources.map((source) => takenRows(source, seed, epoch));
  const queues = taken.map((rows, i) => queueOf(rows, sources[i]!, { seed, order, epoch }));
  // Equal places are met in the order of the keys, not of the list.
  const byKey = sources.map((_, i) => i).sort((a, b) => (sources[a]!.key < sources[b]!.key ? -1 : 1));
  const total = taken.reduce((sum, rows) => sum + rows.length, 0);
  const result = new Uint32Array(2 * total);
  const heads = byKey.map((i) => queues[i]!.next());
  for (let at = 0; at < total; at++) {
    let first = 0;
    for (let i = 1; i < heads.length; i++) if (heads[i]! < heads[first]!) first = i;
    const source = byKey[first]!;
    result[2 * at] = source;
    result[2 * at + 1] = queues[source]!.take();
    heads[first] = queues[source]!.next();
  }
  return result;
}

/** Rows of a source by where they stand in the pass, 0 to 1; places only grow. */
function queueOf(
  rows: Uint32Array,
  { units, key }: OrderedSource,
  { seed, order, epoch }: { seed: number; order: MixOrder; epoch: number },
) {
  const random = createRandom(seedFrom(seed, 'place', key, epoch));
  const whole = rows.reduce((total, row) => total + units[row]!, 0);
  let [index, before] = [0, 0];
  return {
    /** Where the next row stands; infinite where none is left. */
    next: (): number => {
      if (index >= rows.length) return Infinity;
      const within = order === 'random' ? random.next() : 0.5;
      return (before + within * units[rows[index]!]!) / whole;
    },
    take: (): number => {
      const row = rows[index++]!;
      before += units[row]!;
      return row;
    },
  };
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  if (parts.length === 1) return parts[0]!;
  const result = new Uint32Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
