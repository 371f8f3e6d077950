/** Rows that statistics lead to. */
export interface FoundRows {
  /** What they have in common, as a title. */
  title: string;
  /** Numbers among the usable rows, at most a thousand. */
  usable: readonly number[];
  /** How many there are. */
  all: number;
}

/**
 * Lengths of rows, ascending. `isExact`: one for each row; else `values[i]` is what i / (n - 1) of the rows do not
 * exceed.
 */
export interface Lengths {
  values: readonly number[];
  isExact: boolean;
}

/**
 * @param quantiles lengths of the rows that are nearest to evenly spaced places
 * @param rows how many rows they are of
 */
export function lengthsOf(quantiles: readonly number[], rows: number): Lengths {
  const n = quantiles.length;
  if (rows > n || rows < 1 || n === 0) return { values: rows < 1 ? [] : quantiles, isExact: rows < 1 };
  // Fewer rows than places: each of them is there.
  const at = (row: number) => quantiles[rows === 1 ? 0 : Math.round((row / (rows - 1)) * (n - 1))]!;
  return { values: Array.from({ length: rows }, (_, row) => at(row)), isExact: true };
}

/** Share of rows (0 to 1) that are longer than a limit. */
export function shareAbove({ values, isExact }: Lengths, limit: number): number {
  const n = values.length;
  if (n === 0 || limit >= values[n - 1]!) return 0;
  if (limit < values[0]!) return 1;
  // The last place that does not exceed the limit, and the first one that does.
  let [low, high] = [0, n - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle]! <= limit) low = middle;
    else high = middle;
  }
  if (isExact) return 1 - high / n;
  // Between two known places the rows are taken to lie evenly.
  const between = (limit - values[low]!) / (values[high]! - values[low]!);
  return 1 - (low + between) / (n - 1);
}

/** What a context does to rows, in shares of all of them. */
export interface ContextShares {
  /** Longer than it: cut, or left out. */
  longer: number;
  /** Of which nothing is left to learn. */
  lost: number;
}

/**
 * What becomes of rows at a context.
 * @param lengths tokens of all rows
 * @param prompts tokens before the first trained one, of rows that have one
 */
export function contextShares(
  { lengths, prompts }: { lengths: Lengths; prompts: Lengths },
  context: number,
  truncation: 'right' | 'left' | 'drop',
): ContextShares {
  const longer = shareAbove(lengths, context);
  // From the left the end of a row stays, and with it its last answer.
  if (truncation === 'left') return { longer, lost: 0 };
  if (truncation === 'drop') return { longer, lost: longer };
  return { longer, lost: shareAbove(prompts, context - 1) };
}

export interface LengthBin {
  from: number;
  to: number;
  /** Of all rows, 0 to 1. */
  share: number;
}

/** Rows by their length, in bins of equal width on a logarithmic axis; narrow ones are joined to whole tokens. */
export function lengthBins(lengths: Lengths, wanted = 40): LengthBin[] {
  const [least, most] = [Math.max(1, lengths.values[0] ?? 1), Math.max(1, lengths.values.at(-1) ?? 1)];
  const edges = new Set<number>();
  for (let i = 0; i <= wanted; i++) edges.add(Math.round(least * ((most + 1) / least) ** (i / wanted)) - 1);
  const sorted = [...edges].filter((edge) => edge < most).sort((a, b) => a - b);
  sorted.push(most);
  return sorted.slice(1).map((to, i) => {
    const from = sorted[i]!;
    const below = i === 0 ? 1 : shareAbove(lengths, from);
    return { from, to, share: Math.max(0, below - shareAbove(lengths, to)) };
  });
}
