import { createRandom, seedFrom } from '../statistics/random.ts';

/** Seeded choices. */
export interface Draws {
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** Whether something of this probability happens. */
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** Several different ones, in random order. */
  some<T>(from: readonly T[], count: number): T[];
  shuffle<T>(items: readonly T[]): T[];
}

/** Choices for one purpose; equal seeds and purposes choose the same on every machine. */
export function createDraws(seed: number, ...purpose: (string | number)[]): Draws {
  const random = createRandom(seedFrom(seed, ...purpose));
  return {
    between: (low, high) => low + random.integer(high - low + 1),
    chance: (probability) => random.next() < probability,
    pick: (from) => from[random.integer(from.length)]!,
    some: (from, count) => random.shuffle(from).slice(0, count),
    shuffle: (items) => random.shuffle(items),
  };
}

/** The rows of a task in three parts without a common question. */
export interface Splits<Row> {
  train: Row[];
  validation: Row[];
  test: Row[];
}

/** How many rows each part of a task has. */
export const splitSizes = { train: 800, validation: 60, test: 120 } as const;

/**
 * Draws different rows and deals them to the parts.
 * @param draw a row; null: nothing came of this one
 * @param keyOf rows with one key are the same question
 * @param partOf the part in which a row must be; null: any
 * @param share of the usual sizes
 * @throws Error where so many different ones are not found
 */
export function drawSplits<Row>(
  draw: () => Row | null,
  keyOf: (row: Row) => string,
  partOf: (row: Row) => keyof Splits<Row> | null = () => null,
  share = 1,
): Splits<Row> {
  const splits: Splits<Row> = { train: [], validation: [], test: [] };
  const seen = new Set<string>();
  const parts = ['test', 'validation', 'train'] as const;
  for (let tries = 0; tries < 200_000; tries++) {
    const open = parts.filter((part) => splits[part].length < share * splitSizes[part]);
    if (open.length === 0) return splits;
    const row = draw();
    if (row === null || seen.has(keyOf(row))) continue;
    const part = partOf(row) ?? open[0]!;
    if (!open.includes(part)) continue;
    seen.add(keyOf(row));
    splits[part].push(row);
  }
  throw new Error('There are too few different questions of this kind.');
}
