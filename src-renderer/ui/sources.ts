/** Colors of sources of a mix, in the order of the mix: other than those of methods (tokens.css). */
const colors = 8;

/** Names of the tokens of a source's color, and of what is written on it. */
export function sourceColor(place: number): { color: string; on: string } {
  return { color: `--source-${(place % colors) + 1}`, on: '--on-source' };
}

/** Dashes beside colors, so that lines of sources are told apart without them. */
export const sourceSymbols = [
  'circle',
  'rect',
  'triangle',
  'diamond',
  'roundRect',
  'pin',
  'arrow',
  'emptyCircle',
] as const;

/** The datasets of a mix by the source of the recipe that they came by. */
export function placesOfLeaves(parts: readonly { leaves: number }[]): number[] {
  return parts.flatMap(({ leaves }, place) => Array.from({ length: leaves }, () => place));
}

const unitWords = { rows: 'rows', tokens: 'tokens', trained_tokens: 'trained tokens' } as const;

/** What a mix counts in, as a person says it. */
export function unitText(unit: keyof typeof unitWords): string {
  return unitWords[unit];
}
