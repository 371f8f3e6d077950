import { createRandom } from '../../data/random.ts';
import { seedFrom } from '../seeds.ts';

/** Rows of each optimiser step: epochs are shuffled by seed, the last step of an epoch may have fewer rows. */
export interface DataOrder {
  stepsPerEpoch: number;
  totalSteps: number;
  /** Row numbers of a step (1-based), split into forward passes of at most `batch` rows. */
  microBatches(step: number): number[][];
}

/**
 * A pure function of seed and step, so that a resumed run sees exactly the rows that the uninterrupted one would.
 * @param epochs passes over the rows; ignored where maxSteps is given
 */
export function createDataOrder(options: {
  rows: number;
  batch: number;
  accumulate: number;
  epochs: number;
  maxSteps: number | null;
  seed: number;
}): DataOrder {
  const { rows, batch, accumulate, epochs, maxSteps, seed } = options;
  const perStep = batch * accumulate;
  const stepsPerEpoch = Math.ceil(rows / perStep);
  let shuffled: { epoch: number; order: number[] } | null = null;
  const orderOf = (epoch: number) => {
    if (shuffled?.epoch !== epoch)
      shuffled = {
        epoch,
        order: createRandom(seedFrom(seed, 'order', epoch)).shuffle([...Array(rows).keys()]),
      };
    return shuffled.order;
  };
  return {
    stepsPerEpoch,
    totalSteps: maxSteps ?? Math.max(1, Math.ceil(epochs * stepsPerEpoch)),
    microBatches(step) {
      const epoch = Math.floor((step - 1) / stepsPerEpoch);
      const begin = ((step - 1) % stepsPerEpoch) * perStep;
      const taken = orderOf(epoch).slice(begin, begin + perStep);
      return Array.from({ length: Math.ceil(taken.length / batch) }, (_, i) =>
        taken.slice(i * batch, (i + 1) * batch),
      );
    },
  };
}
