import { diffArrays } from 'diff';

/** A stretch of two texts: in both, or in one of them. */
export interface DiffPart {
  kind: 'both' | 'before' | 'after';
  text: string;
}

/** Two texts that differ in more words than this are set against each other as wholes. */
const mostChanges = 1500;

/**
 * How one text became another, word by word.
 * @returns parts in order; those of `both` and `before` make up the first text, those of `both` and `after` the second
 */
export function wordDiff(before: string, after: string): DiffPart[] {
  const found = diffArrays(wordsOf(before), wordsOf(after), { maxEditLength: mostChanges });
  const parts: DiffPart[] = found?.map(({ value, added, removed }) => ({
    kind: added ? 'after' : removed ? 'before' : 'both',
    text: value.join(''),
  })) ?? [
    { kind: 'before', text: before },
    { kind: 'after', text: after },
  ];
  return parts.filter(({ text }) => text !== '');
}

/** Words with the space before them. */
function wordsOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
}
