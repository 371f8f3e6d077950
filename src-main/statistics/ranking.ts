/** Two of a list, by their places, that a test tells apart. */
export type ToldApart = readonly [number, number];

/**
 * A compact letter display (Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons"):
 * subjects that share a letter are not told apart; every two that are share none. Letters go from the first subject on.
 *
 * @param count subjects, in the order in which they are shown
 * @returns of each its letters: a, b, ... z, aa, ab, ...
 */
export function compactLetters(count: number, apart: readonly ToldApart[]): string[][] {
  let columns: Set<number>[] = count === 0 ? [] : [new Set(Array.from({ length: count }, (_, i) => i))];
  for (const [first, second] of apart) {
    columns = columns.flatMap((column) =>
      column.has(first) && column.has(second) ? [without(column, second), without(column, first)] : [column],
    );
    // What lies within another column says nothing more; of two equal ones the first stays.
    columns = columns.filter(
      (column, i) =>
        !columns.some(
          (other, j) =>
            i !== j &&
            [...column].every((subject) => other.has(subject)) &&
            (other.size > column.size || j < i),
        ),
    );
  }
  const places = columns.map((column) => [...column].sort((a, b) => a - b)).sort(byPlaces);
  return Array.from({ length: count }, (_, subject) =>
    places.flatMap((column, i) => (column.includes(subject) ? [letter(i)] : [])),
  );
}

function without(column: ReadonlySet<number>, subject: number): Set<number> {
  return new Set([...column].filter((other) => other !== subject));
}

function byPlaces(a: readonly number[], b: readonly number[]): number {
  const differing = a.findIndex((place, i) => place !== b[i]);
  return differing === -1 ? a.length - b.length : (a[differing] ?? 0) - (b[differing] ?? Infinity);
}

function letter(number: number): string {
  const last = String.fromCharCode(97 + (number % 26));
  return number < 26 ? last : letter(Math.floor(number / 26) - 1) + last;
}
