import { packRows } from '../packing.ts';
import { createRandom, seedFrom } from '../../statistics/random.ts';

/** Row numbers that share one row of the batch: one without packing. */
export type Pack = readonly number[];

/** Rows of each optimizer step; the last step of an epoch may have fewer rows. */
export interface DataOrder {
  totalSteps: number;
  /** Steps of so many passes. Those of a pass are counted once. */
  stepsOf(passes: number): number;
  /** Packs of an epoch, from 0. */
  packs(epoch: number): readonly Pack[];
  /** Packs of a step (1-based), split into forward passes of at most `batch` packs. */
  microBatches(step: number): Pack[][];
}

/**
 * A pure function of seed and step, so that a resumed run sees exactly the rows that the uninterrupted one would.
 *
 * With packing, every epoch is shuffled and packed anew, and epochs of a mix end within a row: epochs may differ by a
 * pack and therefore by a step. Steps are counted from the packs, never from the rows.
 *
 * @param epochs passes over the rows; ignored where maxSteps is given
 * @param packing tokens of each row and slots of a pack; null: a row of the batch holds one row
 */
export function createDataOrder(options: {
  rows: number;
  batch: number;
  accumulate: number;
  epochs: number;
  maxSteps: number | null;
  seed: number;
  packing: { lengths: ArrayLike<number>; capacity: number } | null;
  /** Rows of an epoch in their order (data/mix/epochOrder.ts); null: all rows, shuffled by seed. */
  epochRows?: ((epoch: number) => ArrayLike<number>) | null;
}): DataOrder {
  const { rows, batch, accumulate, epochs, maxSteps, seed, packing, epochRows = null } = options;
  const perStep = batch * accumulate;
  let made: { epoch: number; packs: Pack[] } | null = null;
  const packs = (epoch: number): Pack[] => {
    if (made?.epoch === epoch) return made.packs;
    const random = createRandom(seedFrom(seed, 'order', epoch));
    const order = epochRows ? Array.from(epochRows(epoch)) : random.shuffle([...Array(rows).keys()]);
    // Packs come out longest row first: shuffled, a step is a sample of all lengths.
    const result = packing
      ? random.shuffle(packRows(packing.lengths, order, packing.capacity))
      : order.map((row) => [row]);
    made = { epoch, packs: result };
    return result;
  };

  /** Step after which each epoch ends, for the epochs met so far. */
  const ends: number[] = [];
  const endOf = (epoch: number): number => {
    while (ends.length <= epoch) {
      const count = packing || epochRows ? packs(ends.length).length : rows;
      ends.push((ends.at(-1) ?? 0) + Math.ceil(count / perStep));
    }
    return ends[epoch]!;
  };
  const beginOf = (epoch: number): number => (epoch === 0 ? 0 : endOf(epoch - 1));
  const stepsOf = (passes: number): number => {
    const whole = Math.floor(passes);
    const begun = passes - whole;
    const steps = beginOf(whole) + (begun > 0 ? Math.ceil(begun * (endOf(whole) - beginOf(whole))) : 0);
    return Math.max(1, steps);
  };
  let current = 0;
  return {
    totalSteps: maxSteps ?? stepsOf(epochs),
    stepsOf,
    packs,
    microBatches(step) {
      if (step <= beginOf(current)) current = 0;
      while (step > endOf(current)) current++;
      const begin = (step - 1 - beginOf(current)) * perStep;
      const taken = packs(current).slice(begin, begin + perStep);
      return Array.from({ length: Math.ceil(taken.length / batch) }, (_, i) =>
        taken.slice(i * batch, (i + 1) * batch),
      );
    },
  };
}
