import { describe, expect, it } from 'vitest';
import { realTop, rowsHeight, virtualTop } from '../../../src-renderer/ui/table/longScroll.ts';

describe('scrolling through a million rows', () => {
  const sizes = { rows: 52_000_000, view: 600 };
  const last = sizes.rows - sizes.view;

  it('is plain scrolling in a list of usual length', () => {
    const short = { rows: 10_000, view: 600 };
    expect(rowsHeight(short)).toBe(10_000);
    for (const pixel of [0, 1, 5000, 9400]) {
      expect(virtualTop(pixel, short)).toBe(pixel);
      expect(realTop(pixel, short)).toBe(pixel);
    }
  });

  it('keeps to what a browser can show, and reaches both ends pixel by pixel', () => {
    expect(rowsHeight(sizes)).toBe(8_000_000);
    expect(virtualTop(0, sizes)).toBe(0);
    expect(virtualTop(37, sizes)).toBe(37);
    expect(virtualTop(8_000_000 - 600, sizes)).toBe(last);
    expect(virtualTop(8_000_000 - 600 - 37, sizes)).toBe(last - 37);
  });

  it('goes there and back to the same row', () => {
    for (let i = 0; i <= 1000; i++) {
      const pixel = Math.round((last * i) / 1000);
      // A browser rounds where it scrolls to: less than a row between.
      expect(Math.abs(virtualTop(Math.round(realTop(pixel, sizes)), sizes) - pixel)).toBeLessThan(52);
    }
    const places = Array.from({ length: 500 }, (_, i) => virtualTop((i * 7_999_400) / 499, sizes));
    expect(places.every((place, i) => i === 0 || place > places[i - 1]!)).toBe(true);
  });
});
