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

/** Tokens that are computed as one row of a batch: a tree in depth-first order (graph/causalProduct.ts, Branches). */
export interface ChoiceRow {
  ids: number[];
  depths: number[];
  /** Of each place, the last one that descends from it. */
  last: number[];
  picks: ChoicePick[];
}

/** A row that is built when its turn comes: all at once would take many times the memory of the items. */
export interface PlannedRow {
  /** Tokens that it has at most. */
  tokens: number;
  picks: number;
  build(): ChoiceRow;
}

/** Every choice behind a copy of its prompt: as much is computed as if each stood alone. */
export function separateRows(items: readonly ChoiceItem[]): PlannedRow[] {
  return items.flatMap(({ prompt, choices }, item) =>
    choices.map((answer, choice) => {
      const tokens = prompt.length + answer.length;
      return {
        tokens,
        picks: answer.length,
        build: () => ({
          ids: [...prompt, ...answer],
          depths: Array.from({ length: tokens }, (_, at) => at),
          last: Array.from({ length: tokens }, () => tokens - 1),
          picks: answer.map((label, i) => ({ at: prompt.length - 1 + i, label, item, choice })),
        }),
      };
    }),
  );
}

/** Items share a row where so many tokens at least are spared by it, and so large a part of what is left. */
const worthSharing = { tokens: 16, part: 0.5 };

/**
 * Rows in which nothing is computed twice that begins alike: the prompt of an item stands before its choices once, and
 * what several items begin with (examples, a subject's heading) once before them all. The last token of a choice is
 * only foreseen: choices of one token add none.
 *
 * @param capacity tokens of a row at most, where it holds several items
 */
export function sharedRows(items: readonly ChoiceItem[], capacity: number): PlannedRow[] {
  const order = Array.from(items.keys()).sort(
    (a, b) => compareTokens(items[a]!.prompt, items[b]!.prompt) || a - b,
  );
  const groups: { members: number[]; tokens: number }[] = [];
  let previous: readonly number[] = [];
  for (const item of order) {
    const { prompt } = items[item]!;
    const own = sharedTokens(items[item]!);
    const common = commonLength(previous, prompt);
    const left = own - common;
    const group = groups.at(-1);
    const isSpared = common >= Math.max(worthSharing.tokens, worthSharing.part * left);
    if (group && isSpared && group.tokens + left <= capacity) {
      group.members.push(item);
      group.tokens += left;
    } else groups.push({ members: [item], tokens: own });
    previous = prompt;
  }
  return groups.map(({ members, tokens }) => ({
    tokens,
    picks: members.reduce((sum, item) => sum + choiceTokens(items[item]!), 0),
    build: () => treeOf(items, members),
  }));
}

/** Tokens that are foreseen of an item. */
export function choiceTokens({ choices }: ChoiceItem): number {
  return choices.reduce((sum, { length }) => sum + length, 0);
}

/** Tokens of an item whose choices share its prompt. */
export function sharedTokens({ prompt, choices }: ChoiceItem): number {
  return prompt.length + choiceTokens({ prompt, choices }) - choices.length;
}

/** The items of one row, merged where they begin alike. */
function treeOf(items: readonly ChoiceItem[], group: readonly number[]): ChoiceRow {
  const texts = group
    .flatMap((item) =>
      items[item]!.choices.map((tokens, choice) => {
        const { prompt } = items[item]!;
        return { item, choice, prompt, tokens, ids: [...prompt, ...tokens.slice(0, -1)] };
      }),
    )
    .sort((a, b) => compareTokens(a.ids, b.ids) || a.item - b.item || a.choice - b.choice);
  const row: ChoiceRow = { ids: [], depths: [], last: [], picks: [] };
  /** Places of the text before. */
  let path: number[] = [];
  for (const { item, choice, prompt, tokens, ids } of texts) {
    const common = commonLength(
      path.map((at) => row.ids[at]!),
      ids,
    );
    path = path.slice(0, common);
    for (const id of ids.slice(common)) {
      path.push(row.ids.length);
      row.ids.push(id);
      row.depths.push(path.length - 1);
      row.last.push(0);
    }
    for (const at of path) row.last[at] = row.ids.length - 1;
    tokens.forEach((label, i) => row.picks.push({ at: path[prompt.length - 1 + i]!, label, item, choice }));
  }
  return row;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let at = 0;
  while (at < end && a[at] === b[at]) at++;
  return at;
}

function compareTokens(a: readonly number[], b: readonly number[]): number {
  const at = commonLength(a, b);
  return (a[at] ?? -1) - (b[at] ?? -1);
}

/**
 * @param most tokens that a text may have: the last one of a choice is foreseen and not read, so that it may be one
 *   more than the context
 * @throws StudioError usage with the item
 */
export function checkItems(items: readonly ChoiceItem[], most: number): void {
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
      if (tokens > most)
        throw new StudioError(
          'usage',
          `Item ${item} has ${tokens} tokens with choice ${choice}; the model's context has room for ${most}.`,
          'Shorten its prompt, or leave it out.',
        );
    });
  });
}

/** Rows as arrays of a fixed size; `places` count through the batch. */
export function layOutRows(rows: readonly ChoiceRow[], { batch, tokens }: BatchLayout, picks: number) {
  const feeds = {
    ids: new Int32Array(batch * tokens),
    depths: new Float32Array(batch * tokens),
    // Padding sees itself alone.
    last: Float32Array.from({ length: batch * tokens }, (_, at) => at % tokens),
    places: new Int32Array(picks),
    labels: new Int32Array(picks).fill(-1),
  };
  let at = 0;
  rows.forEach((row, r) => {
    feeds.ids.set(row.ids, r * tokens);
    feeds.depths.set(row.depths, r * tokens);
    feeds.last.set(row.last, r * tokens);
    for (const pick of row.picks) {
      feeds.places[at] = r * tokens + pick.at;
      feeds.labels[at++] = pick.label;
    }
  });
  return feeds;
}
