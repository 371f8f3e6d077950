/**
 * Rows are packed within stretches of so many, so that which rows meet in a pack changes from one shuffled epoch to the
 * next.
 */
const rowsPerWindow = 2048;

/**
 * Packs rows into bins of `capacity` tokens: best fit decreasing (Johnson 1973) within windows of the given order. A
 * row longer than the capacity fills a pack of its own, which whoever lays it out cuts. A pure function of its
 * arguments.
 *
 * @param lengths tokens of each row, by row number
 * @param order row numbers, each at most once
 * @returns packs of row numbers; every row of `order` is in exactly one
 */
export function packRows(lengths: ArrayLike<number>, order: readonly number[], capacity: number): number[][] {
  const packs: number[][] = [];
  for (let begin = 0; begin < order.length; begin += rowsPerWindow)
    for (const pack of packWindow(lengths, order.slice(begin, begin + rowsPerWindow), capacity))
      packs.push(pack);
  return packs;
}

function packWindow(lengths: ArrayLike<number>, window: readonly number[], capacity: number): number[][] {
  const packs: number[][] = [];
  /** Open packs by the tokens that still fit. */
  const open: number[][][] = Array.from({ length: capacity + 1 }, () => []);
  const length = (row: number) => Math.min(lengths[row]!, capacity);
  // The sort is stable: rows of equal length keep their shuffled order.
  for (const row of [...window].sort((a, b) => length(b) - length(a))) {
    let room = length(row);
    while (room <= capacity && open[room]!.length === 0) room++;
    const pack = room <= capacity ? open[room]!.pop()! : [];
    if (pack.length === 0) packs.push(pack);
    const left = (room <= capacity ? room : capacity) - length(row);
    pack.push(row);
    open[left]!.push(pack);
  }
  return packs;
}

/**
 * Tokens of a row of the batch: without packing rows are padded to the longest, to a multiple of 8; with it packs have
 * the context's length, or less where all training rows together are shorter.
 * @param longest tokens of the longest row, those that are held out included
 * @param total tokens of all training rows
 */
export function rowSlots(of: { longest: number; total: number; context: number; packing: boolean }): number {
  const eights = (tokens: number) => 8 * Math.ceil(tokens / 8);
  const padded = Math.min(of.context, eights(of.longest));
  return of.packing ? Math.min(of.context, Math.max(padded, eights(of.total))) : padded;
}

/** Share of the packs' slots that hold a token, 0 to 1. */
export function packingEfficiency(
  lengths: ArrayLike<number>,
  packs: readonly (readonly number[])[],
  capacity: number,
): number {
  const tokens = packs.flat().reduce((total, row) => total + Math.min(lengths[row]!, capacity), 0);
  return packs.length === 0 ? 0 : tokens / (packs.length * capacity);
}
