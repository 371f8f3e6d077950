import { StudioError } from '../contract/errors.ts';
import { scoredLengths, type ScoringCalls, type ScoringLimits } from './scoredLengths.ts';

/** A question with its answers, as the engine is asked for it (engine/protocol.ts). */
interface ChoiceItem {
  prompt: readonly number[];
  /** What continues the prompt in each answer. */
  choices: readonly (readonly number[])[];
}

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

/** Rows of one length, of which so many are computed together. */
export interface ChoicePart {
  tokens: number;
  batch: number;
  /** The rows of each call. */
  calls: PlannedRow[][];
  /** Tokens that are foreseen in a call at most. */
  picks: number;
}

/** A row of several items may have so many tokens: longer ones spare little, and attention costs more. */
const leastCapacity = 1024;

/**
 * How items become rows, and rows batches. Where texts of one row would turn each other's angles (`isUniform`), each
 * stands alone, and all are padded to one length.
 */
export function planChoices(
  items: readonly ChoiceItem[],
  { batch, context, isUniform }: ScoringLimits,
): ChoicePart[] {
  const longest = 8 * Math.ceil(mostOf(items.map(sharedTokens)) / 8);
  const together = Math.max(1, Math.min(batch, items.length));
  const capacity = Math.min(together * longest, Math.max(leastCapacity, 3 * longest));
  const rows = isUniform ? separateRows(items) : sharedRows(items, capacity);
  const lengths = Int32Array.from(rows, ({ tokens }) => tokens);
  const limits = { batch: together, context: isUniform ? context : Infinity, isUniform };
  // A call has no more tokens than one of as many single items: a row of several counts as several.
  const fitting = (tokens: number) => (isUniform ? together : Math.floor((together * longest) / tokens));
  return scoredLengths(lengths, limits).map(({ tokens, rows: numbers }) => {
    const size = Math.max(1, Math.min(together, numbers.length, fitting(tokens)));
    const calls = Array.from({ length: Math.ceil(numbers.length / size) }, (_, i) =>
      numbers.slice(i * size, (i + 1) * size).map((number) => rows[number]!),
    );
    const picks = mostOf(calls.map((call) => call.reduce((sum, row) => sum + row.picks, 0)));
    return { tokens, batch: size, calls, picks };
  });
}

/** The calls that the same items take, for a forecast. */
export function choiceCalls(items: readonly ChoiceItem[], limits: ScoringLimits): ScoringCalls[] {
  return planChoices(items, limits).map(({ tokens, batch, calls, picks }) => ({
    tokens,
    calls: calls.length,
    rows: batch,
    outputs: picks,
  }));
}

/** The greatest of them, at least 1. */
function mostOf(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 1);
}
