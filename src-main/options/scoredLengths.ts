/** Rows that are scored together, a batch at a time, each padded to the same length. */
export interface ScoredLength {
  /** Tokens that each of them is padded to, or cut after. */
  tokens: number;
  /** Their numbers, ascending. */
  rows: readonly number[];
}

/** Calls of the engine in which so many tokens of each row of a batch are scored. */
export interface ScoringCalls {
  tokens: number;
  calls: number;
  /** Rows of a call; absent: those of a batch. */
  rows?: number;
  /** Places of a call whose logits are made; absent: all. */
  outputs?: number;
}

/** What decides how rows are put together. */
export interface ScoringLimits {
  /** Rows of a call. */
  batch: number;
  /** Positions of the model. */
  context: number;
  /** Whether all rows must have the same length: a rope scaling that follows it would else tell them apart. */
  isUniform: boolean;
}

/** The order in which rows are scored, and how: short ones are not padded to the longest. @param lengths in tokens */
export function scoredLengths(
  lengths: Int32Array,
  { batch, context, isUniform }: ScoringLimits,
): ScoredLength[] {
  const longest = lengths.reduce((most, length) => Math.max(most, length), 1);
  const padded = Math.min(context, 8 * Math.ceil(longest / 8));
  const buckets = isUniform ? [padded] : bucketLengths(lengths, padded, batch);
  const numbers = Array.from(lengths.keys());
  return buckets.map((tokens) => ({
    tokens,
    rows: numbers.filter((row) => bucketOf(lengths[row]!, buckets) === tokens),
  }));
}

/** The calls that the same rows take, for a forecast. */
export function scoringCalls(lengths: Int32Array, limits: ScoringLimits): ScoringCalls[] {
  return scoredLengths(lengths, limits).map(({ tokens, rows }) => ({
    tokens,
    calls: Math.ceil(rows.length / limits.batch),
  }));
}

/**
 * A length is worth an entry of its own, which must be compiled, where it spares so many batches the longer one, and
 * this part of all tokens.
 */
const worthwhile = { batches: 4, tokens: 0.05 };

/** The lengths that rows are padded to, ascending: the longest, and halves of it (multiples of 8) where they pay. */
export function bucketLengths(lengths: Int32Array, longest: number, batch: number): number[] {
  const buckets = [longest];
  for (;;) {
    const shortest = buckets[0]!;
    const half = 8 * Math.ceil(shortest / 16);
    const fitting = lengths.reduce((count, length) => count + Number(length <= half), 0);
    const spared = (fitting * (shortest - half)) / (lengths.length * longest);
    if (fitting < worthwhile.batches * batch || spared < worthwhile.tokens) return buckets;
    buckets.unshift(half);
  }
}

/** The shortest bucket that holds a row; the last one cuts it. */
function bucketOf(length: number, buckets: readonly number[]): number {
  return buckets.find((tokens) => length <= tokens) ?? buckets.at(-1)!;
}
