/**
 * How well a query fits a text: every character of the query must stand in it, in order. Beginnings of words and
 * unbroken stretches count more, and of two equally good texts the shorter one.
 * @returns null where it does not fit, else a number that is greater for a better fit
 */
export function fuzzyScore(query: string, text: string): number | null {
  const wanted = query.toLowerCase().replaceAll(/\s+/g, '');
  if (wanted === '') return 0;
  const lower = text.toLowerCase();
  let best: number | null = null;
  // Where the first character is found decides the rest: each beginning is tried.
  for (let start = lower.indexOf(wanted[0]!); start >= 0; start = lower.indexOf(wanted[0]!, start + 1)) {
    const score = scoreFrom(wanted, lower, start);
    if (score !== null && (best === null || score > best)) best = score;
  }
  return best === null ? null : best - 0.01 * lower.length;
}

function scoreFrom(wanted: string, text: string, start: number): number | null {
  let score = 0;
  let last = start - 1;
  for (const character of wanted) {
    const at = text.indexOf(character, last + 1);
    if (at < 0) return null;
    const isStretch = at === last + 1 && at > start;
    const isWordStart = at === 0 || /[\s\-_/.,:]/.test(text[at - 1]!);
    score += isStretch ? 4 : isWordStart ? 3 : Math.max(0.2, 1 - 0.1 * (at - last));
    last = at;
  }
  return score;
}
