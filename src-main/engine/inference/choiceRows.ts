import { StudioError } from '../../contract/errors.ts';
import type { BatchLayout } from '../model/wholeRows.ts';
import type { ChoiceItem } from '../protocol.ts';

/** A token to be foreseen: the output at place `at` of its row tells how likely it is. */
export interface ChoicePick {
  at: number;
  label: number;
  item: number;
  choice: number;
}

/** Tokens that are computed as one row of a batch. */
export interface ChoiceRow {
  ids: readonly number[];
  picks: readonly ChoicePick[];
}

/** Every choice behind a copy of its prompt: as much is computed as if each stood alone. */
export function separateRows(items: readonly ChoiceItem[]): ChoiceRow[] {
  return items.flatMap(({ prompt, choices }, item) =>
    choices.map((tokens, choice) => ({
      ids: [...prompt, ...tokens],
      picks: tokens.map((label, i) => ({ at: prompt.length - 1 + i, label, item, choice })),
    })),
  );
}

/** @throws StudioError usage with the item */
export function checkItems(items: readonly ChoiceItem[], contextLength: number): void {
  items.forEach(({ prompt, choices: answers }, item) => {
    if (prompt.length === 0)
      throw new StudioError('usage', `The prompt of item ${item} has no tokens.`, 'Give it some text.');
    if (answers.length === 0)
      throw new StudioError('usage', `Item ${item} has no choices.`, 'Give it at least one choice.');
    answers.forEach((answer, choice) => {
      if (answer.length === 0)
        throw new StudioError(
          'usage',
          `Choice ${choice} of item ${item} has no tokens.`,
          'Give it some text.',
        );
      const tokens = prompt.length + answer.length;
      if (tokens > contextLength)
        throw new StudioError(
          'usage',
          `Item ${item} has ${tokens} tokens with choice ${choice}; the model's context has ${contextLength}.`,
          'Shorten its prompt, or leave it out.',
        );
    });
  });
}

/** Tokens that are to be foreseen in rows. */
export function pickCount(rows: readonly ChoiceRow[]): number {
  return rows.reduce((sum, { picks }) => sum + picks.length, 0);
}

/** Rows as arrays of a fixed size; `places` counts through the batch. */
export function layOutRows(rows: readonly ChoiceRow[], { batch, tokens }: BatchLayout, picks: number) {
  const feeds = {
    ids: new Int32Array(batch * tokens),
    places: new Int32Array(picks),
    labels: new Int32Array(picks).fill(-1),
  };
  let at = 0;
  rows.forEach((row, r) => {
    feeds.ids.set(row.ids, r * tokens);
    for (const pick of row.picks) {
      feeds.places[at] = r * tokens + pick.at;
      feeds.labels[at++] = pick.label;
    }
  });
  return feeds;
}
