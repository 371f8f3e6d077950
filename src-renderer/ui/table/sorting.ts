export interface Sorting<K extends string> {
  key: K;
  isDescending: boolean;
}

/** One for all: making it is what costs. */
const collator = new Intl.Collator('en', { numeric: true });

/** A sorted copy; entries without a value come last in both directions, equal ones keep their order. */
export function sorted<T>(
  entries: readonly T[],
  value: (entry: T) => string | number | null,
  isDescending: boolean,
): T[] {
  const direction = isDescending ? -1 : 1;
  return entries
    .map((entry) => ({ entry, value: value(entry) }))
    .sort(({ value: x }, { value: y }) => {
      if (x === null || y === null) return Number(x === null) - Number(y === null);
      if (typeof x === 'string' && typeof y === 'string') return direction * collator.compare(x, y);
      return direction * (Number(x) - Number(y));
    })
    .map(({ entry }) => entry);
}
