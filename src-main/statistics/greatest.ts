/** The greater of two; NaN where either is: what is no number must not look like equality, as a comparison makes it. */
export function greater(a: number, b: number): number {
  return Number.isNaN(a) || b <= a ? a : b;
}
