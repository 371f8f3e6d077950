/**
 * Rows that stand for all rows of a set of curves: the first and the last, and of each bucket of neighbours those at
 * which any of the columns is smallest or greatest. Nothing is averaged and no spike is lost: what is drawn are
 * measured points.
 *
 * Buckets hold a power of two of rows and begin at multiples of it, so that the choice does not flicker while a range
 * is moved.
 *
 * @param columns values of all rows; NaN: none
 * @param range rows `begin` to before `end`
 * @param most rows that may be chosen; with fewer than `2 + 4 * columns.length` one bucket or two are taken all the
 * same
 * @returns ascending row numbers; all of the range where they are no more than `most`
 */
export function chooseRows(
  columns: readonly (readonly number[])[],
  { begin, end }: { begin: number; end: number },
  most: number,
): number[] {
  const count = Math.max(0, end - begin);
  if (count <= most) return Array.from({ length: count }, (_, i) => begin + i);
  const chosen: number[] = [begin];
  const size = bucketSize(begin, end, (most - 2) / (2 * columns.length));
  for (let first = begin; first < end;) {
    const next = Math.min(end, (Math.floor(first / size) + 1) * size);
    const rows = columns.flatMap((column) => extremesOf(column, first, next)).sort((a, b) => a - b);
    for (const row of rows) if (row > chosen.at(-1)!) chosen.push(row);
    first = next;
  }
  if (chosen.at(-1)! < end - 1) chosen.push(end - 1);
  return chosen;
}

function bucketSize(begin: number, end: number, mostBuckets: number): number {
  const bucketsOf = (size: number) => Math.floor((end - 1) / size) - Math.floor(begin / size) + 1;
  let size = 1;
  while (bucketsOf(size) > mostBuckets && size < end) size *= 2;
  return size;
}

/** Where a column is smallest and greatest; nothing where it has no value. */
function extremesOf(column: readonly number[], begin: number, end: number): number[] {
  let [least, greatest] = [-1, -1];
  for (let row = begin; row < end; row++) {
    const value = column[row]!;
    if (Number.isNaN(value)) continue;
    if (least < 0 || value < column[least]!) least = row;
    if (greatest < 0 || value > column[greatest]!) greatest = row;
  }
  return least < 0 ? [] : [least, greatest];
}
