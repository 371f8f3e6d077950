/**
 * Scrolling through more pixels than an element can be high: at both ends of the scroll bar a pixel is a pixel, so that
 * first and last rows are reached by small steps; between them one stands for many.
 */

/** Browsers take elements of 16 million pixels and more; a scroll bar tells no more than this. */
const mostPixels = 8_000_000;
const endPixels = 1_000_000;

interface Sizes {
  /** Pixels of all rows. */
  rows: number;
  /** Pixels in sight. */
  view: number;
}

/** Height of what is scrolled. */
export function rowsHeight({ rows }: Sizes): number {
  return Math.min(rows, mostPixels);
}

function spans({ rows, view }: Sizes) {
  return { virtual: Math.max(0, rows - view), real: Math.max(0, Math.min(rows, mostPixels) - view) };
}

/** Maps a place of one length onto another, both ends pixel by pixel. */
function mapped(place: number, from: number, to: number): number {
  if (from === to) return place;
  if (place <= endPixels) return Math.max(0, place);
  if (place >= from - endPixels) return to - Math.max(0, from - place);
  return endPixels + ((place - endPixels) * (to - 2 * endPixels)) / (from - 2 * endPixels);
}

/** Which pixel of all rows stands at the top where the scroll bar is at `real`. */
export function virtualTop(real: number, sizes: Sizes): number {
  const span = spans(sizes);
  return mapped(real, span.real, span.virtual);
}

/** Where the scroll bar stands when that pixel of all rows is at the top. */
export function realTop(virtual: number, sizes: Sizes): number {
  const span = spans(sizes);
  return mapped(virtual, span.virtual, span.real);
}
