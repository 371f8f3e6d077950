/** Told apart by dash, marker and shade, since all have the color of their method. */
const dashes = ['solid', 'dashed', 'dotted'] as const;
/** How far the color goes towards the text (above 0) or the surface (below). */
const shades = [0, 0.5, -0.3, 0.85];
const markers = ['circle', 'rect', 'triangle', 'diamond'] as const;

/** Pixels between two labels, and of the plot that holds them at least. */
const labelHeight = 13;
const plotHeight = 150;

function mixed(color: string, other: string, share: number): string {
  // The page's colors come as #fff, too.
  const part = (hex: string, at: number) => {
    const whole = hex.length === 4 ? hex.replaceAll(/[0-9a-f]/gi, '$&$&') : hex;
    return Number.parseInt(whole.slice(at, at + 2), 16);
  };
  const channel = (at: number) => Math.round((1 - share) * part(color, at) + share * part(other, at));
  return `#${[1, 3, 5].map((at) => channel(at).toString(16).padStart(2, '0')).join('')}`;
}

/** Pixels by which the labels at the ends of lines move down, so that none lies on another. */
export function labelOffsets(ends: readonly number[], range: number): number[] {
  const unit = range > 0 ? plotHeight / range : 0;
  const offsets = ends.map(() => 0);
  let last = -Infinity;
  // From the top down: screens count that way.
  for (const { value, i } of ends.map((value, i) => ({ value, i })).sort((a, b) => b.value - a.value)) {
    const wanted = -value * unit;
    const placed = Math.max(wanted, last + labelHeight);
    offsets[i] = placed - wanted;
    last = placed;
  }
  return offsets;
}

/** How one of several experts is drawn, all of which have the color of their method. */
export function expertMark(
  index: number,
  color: string,
  page: { text: string; surface: string },
): { shade: string; symbol: string; dash: 'solid' | 'dashed' | 'dotted' } {
  const share = shades[index % shades.length]!;
  return {
    shade: mixed(color, share > 0 ? page.text : page.surface, Math.abs(share)),
    symbol: markers[index % markers.length]!,
    dash: dashes[index % dashes.length]!,
  };
}
