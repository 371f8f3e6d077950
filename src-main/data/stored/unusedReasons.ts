import type { Unusable, UnusedCounts } from '../../contract/datasets/unusable.ts';
import type { RowPlace } from './rowFacts.ts';

/** So many reasons are told apart; rows with another one are counted without it. */
export const mostReasons = 100;

type Counted = UnusedCounts['reasons'][number];

/** Counts rows that cannot be used by reason and field, with the first row of each. */
export class UnusedReasons {
  readonly #numbers = new Map<string, number>();
  readonly list: Counted[] = [];
  rows = 0;

  /** @returns the number of the reason in the list; null where the list is full */
  add(unusable: Unusable, { file, number }: RowPlace, rows = 1): number | null {
    this.rows += rows;
    // Turns of a list are told apart by their number, which makes no other reason.
    const column = unusable.column?.replace(/\[\d+\]/g, '') ?? null;
    const key = JSON.stringify([unusable.reason, column]);
    const found = this.#numbers.get(key);
    if (found !== undefined) {
      this.list[found]!.rows += rows;
      return found;
    }
    if (this.list.length >= mostReasons) return null;
    const { reason, detail } = unusable;
    this.#numbers.set(key, this.list.length);
    return this.list.push({ reason, column, detail, rows, file, number }) - 1;
  }

  /** The most frequent reason first; of equal ones the one that is met first. */
  counts(): UnusedCounts {
    return { rows: this.rows, reasons: [...this.list].sort(byFrequency) };
  }
}

function byFrequency(a: Counted, b: Counted): number {
  return b.rows - a.rows || (a.file === b.file ? a.number - b.number : a.file < b.file ? -1 : 1);
}
