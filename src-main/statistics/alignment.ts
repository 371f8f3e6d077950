import { StudioError } from '../contract/errors.ts';

/** What statistics need of a graded item. */
export interface ScoredItem {
  /** The same in every evaluation of the same data: its task's name, or the key of its row. */
  id: string;
  /** What it belongs to with others (subject, problem, passage); null: nothing. */
  group: string | null;
  /** Right or wrong, or a share from 0 to 1, such as that of the samples that pass; null: not graded so. */
  correct: boolean | number | null;
  /** Mean negative log-likelihood per answer token; null: not scored so. */
  loss: number | null;
  /** `failed` and `cut_off`: there was no whole answer to grade; `abstained`: its judge gave no verdict. */
  state: 'graded' | 'failed' | 'cut_off' | 'abstained';
  target: string | null;
  /** Answer tokens behind the loss. */
  tokens: number;
}

/** A subject and its items. */
export interface ScoredSubject {
  name: string;
  items: readonly ScoredItem[];
}

/** Items of several subjects, brought together. */
export interface AlignedItems {
  ids: string[];
  groups: (string | null)[];
  /** Of each subject its items, in the order of the ids. */
  columns: (readonly ScoredItem[])[];
}

/**
 * Brings the items of subjects together by their ids, in the order of the first subject: never by their place in a
 * file.
 * @throws StudioError usage with the first id that is doubled, that one of them lacks, or that asks for something else
 */
export function alignItems(subjects: readonly ScoredSubject[]): AlignedItems {
  const [first, ...others] = subjects;
  if (!first) return { ids: [], groups: [], columns: [] };
  const mine = itemsById(first);
  const columns: (readonly ScoredItem[])[] = [first.items];
  for (const other of others) {
    const theirs = itemsById(other);
    const apart = (told: string) =>
      new StudioError(
        'usage',
        `${first.name} and ${other.name} were not graded on the same items (${mine.size} and ${theirs.size}): ${told}.`,
        'Evaluate both with the same data, limit and shots.',
      );
    const column = first.items.map((item) => {
      const match = theirs.get(item.id);
      if (!match) throw apart(`item "${item.id}" is missing from ${other.name}`);
      if (match.target !== item.target)
        throw apart(`item "${item.id}" has another target: ${shown(item.target)} and ${shown(match.target)}`);
      if (item.loss !== null && match.loss !== null && item.tokens !== match.tokens)
        throw apart(
          `the answer of item "${item.id}" has ${item.tokens} tokens with one, ${match.tokens} with the other`,
        );
      return match;
    });
    const extra = theirs.size === mine.size ? undefined : other.items.find(({ id }) => !mine.has(id));
    if (extra) throw apart(`item "${extra.id}" is missing from ${first.name}`);
    columns.push(column);
  }
  return { ids: [...mine.keys()], groups: first.items.map(({ group }) => group), columns };
}

function itemsById({ name, items }: ScoredSubject): Map<string, ScoredItem> {
  const found = new Map<string, ScoredItem>();
  for (const item of items) {
    if (found.has(item.id))
      throw new StudioError(
        'usage',
        `Item "${item.id}" stands twice among the ${items.length} items of ${name}.`,
        'Give each row of the data an id of its own, and evaluate it again.',
      );
    found.set(item.id, item);
  }
  return found;
}

function shown(target: string | null): string {
  if (target === null) return 'none';
  return `"${target.length > 40 ? `${target.slice(0, 40)}…` : target}"`;
}
