export interface Sorting<K extends string> {
  key: K;
  isDescending: boolean;
}

/** A sorted copy; entries without a value come last in both directions, equal ones keep their order. */
export function sorted<T>(
  entries: readonly T[],
  value: (entry: T) => string | number | null,
  isDescending: boolean,
): T[] {
  const direction = isDescending ? -1 : 1;
  return [...entries].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    if (typeof x === 'string' && typeof y === 'string')
      return direction * x.localeCompare(y, 'en', { numeric: true });
    return direction * (Number(x) - Number(y));
  });
}
