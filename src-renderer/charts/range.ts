/** A stretch of steps, both ends included. */
export interface Range {
  from: number;
  to: number;
}

/** Fewer steps than this are never shown alone. */
const narrowest = 8;

/**
 * A range inside another one, in whole steps.
 * @returns null where it is all there is
 */
function inside({ from, to }: Range, whole: Range): Range | null {
  const most = whole.to - whole.from;
  const width = Math.min(most, Math.max(narrowest, Math.round(to - from)));
  if (width >= most) return null;
  const first = Math.round(Math.min(Math.max(from, whole.from), whole.to - width));
  return { from: first, to: first + width };
}

/**
 * The range made wider or narrower around a place that stays where it is on the screen.
 * @param factor below 1: narrower
 * @param at step; absent: the middle
 */
export function zoomed(
  range: Range,
  whole: Range,
  factor: number,
  at = (range.from + range.to) / 2,
): Range | null {
  return inside({ from: at - (at - range.from) * factor, to: at + (range.to - at) * factor }, whole);
}

/** The range moved by so many steps, as far as there are any. */
export function moved(range: Range, whole: Range, by: number): Range | null {
  const width = range.to - range.from;
  const from = Math.min(Math.max(range.from + by, whole.from), whole.to - width);
  return inside({ from, to: from + width }, whole);
}

/** The range between two places, in either order. */
export function between(a: number, b: number, whole: Range): Range | null {
  return inside({ from: Math.min(a, b), to: Math.max(a, b) }, whole);
}
