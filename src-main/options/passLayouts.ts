import { possibleParts } from './deviceSizes.ts';

/** The arrays of a forward pass: so many rows of so many slots for tokens. */
export interface BatchLayout {
  batch: number;
  tokens: number;
  /** Where a row holds several examples: tokens of the longest. Absent: a row of the batch is one example. */
  longestExample?: number;
  /** Labels of a batch at most: logits are made at their places alone. Absent: at every token. */
  labels?: number;
  /**
   * Where a row holds several examples: the first slot that is seen from each `lineStep` slots, of all batches the
   * lowest. Absent: as far back as the longest example reaches.
   */
  firstKeys?: readonly number[];
}

/** How a run's rows are laid out. */
export interface PassLayouts {
  /** Of training's forward passes, shortest first; a pass takes the first that holds its rows. */
  training: readonly BatchLayout[];
  /** Of passes over rows that are held out. */
  scoring: BatchLayout;
  /** Slots of a forward pass of training, on average, and the share of them that hold a token. */
  meanSlots: number;
  fill: number;
}

/** The rows of a pass side by side in one line, of which there are several lengths. */
export interface LineLengths {
  /** Slots, ascending. */
  lengths: readonly number[];
  /** Of a pass, on average. */
  mean: number;
}

/** Every length is compiled once. */
const mostLengths = 4;

/** Compiling one takes as long as so many steps, in processor time (measured at 88 million parameters). */
const stepsOfALength = 1;

/**
 * One key that a query is multiplied with costs this part of what a token costs otherwise, 1 / (6 * hidden size), here
 * for a hidden size of 1024.
 */
const costOfKey = 1 / 6144;

/** Picking the places of labels pays where they are at most this part of all. */
const fewLabels = 0.9;

/** Padding costs so little that a row of the batch stays one example: no mask is needed then. */
const littlePadding = 1.05;

/** Long lines are whole multiples of this: of the same, whatever computes them, so that a run's layout is. */
export const lineStep = possibleParts('cpu')[0].queryBlock;

/**
 * A few lengths for lines: few, as each is compiled, and such that few slots stay empty.
 * @param totals tokens of the rows of each forward pass, or of a sample of them
 * @param count forward passes that there will be
 */
export function lineLengths(totals: readonly number[], count = totals.length): LineLengths {
  const passesOf = new Map<number, number>();
  for (const size of totals.map(roundedUp)) passesOf.set(size, (passesOf.get(size) ?? 0) + 1);
  const sizes = [...passesOf.keys()].sort((a, b) => a - b);
  const longest = sizes.at(-1) ?? 8;
  const passes = sizes.map((size) => passesOf.get(size)!);
  /** Of the passes up to size `end`, with so many lengths of which `end` is the longest: fewest slots. */
  let best = sizes.map((size, end) => ({
    slots: size * sum(passes.slice(0, end + 1)),
    lengths: [size],
  }));
  let chosen = best.at(-1) ?? { slots: 0, lengths: [longest] };
  // What is spared in a sample is spared by all passes.
  const costOfLength = (stepsOfALength * longest * totals.length) / count;
  for (let number = 2; number <= mostLengths; number++) {
    best = sizes.map((size, end) => {
      let found = { slots: Infinity, lengths: [size] };
      let above = 0;
      for (let before = end - 1; before >= number - 2; before--) {
        above += passes[before + 1]!;
        const slots = best[before]!.slots + size * above;
        if (slots < found.slots) found = { slots, lengths: [...best[before]!.lengths, size] };
      }
      return found;
    });
    const last = best.at(-1);
    if (!last || last.slots + costOfLength > chosen.slots) break;
    chosen = last;
  }
  return { lengths: chosen.lengths, mean: totals.length === 0 ? longest : chosen.slots / totals.length };
}

/**
 * Layouts of a run whose rows are not packed: the rows of a pass side by side, or, where rows are so alike that hardly
 * anything is gained by it, each padded to the longest.
 *
 * @param totals tokens of the rows of each forward pass, or of a sample of them
 * @param passes forward passes that there will be
 * @param padded slots of a row that is padded to the longest (`rowSlots`)
 * @param heldOut tokens of the rows that are scored together, and of the longest of them; of the longest that is
 * trained on where none is scored
 */
export function unpackedLayouts(of: {
  totals: readonly number[];
  passes?: number;
  batch: number;
  padded: number;
  heldOut: { total: number; longest: number };
}): PassLayouts {
  const { totals, passes, batch, padded, heldOut } = of;
  const { lengths, mean } = lineLengths(totals, passes);
  const rectangle: BatchLayout = { batch, tokens: padded };
  const line = (tokens: number): BatchLayout => ({ batch: 1, tokens, longestExample: padded });
  const meanTokens = sum(totals) / Math.max(1, totals.length);
  const longest = line(lengths.at(-1)!);
  if (littlePadding * costOf(longest, mean) >= costOf(rectangle, batch * padded))
    return {
      training: [rectangle],
      scoring: rectangle,
      meanSlots: batch * padded,
      fill: meanTokens / (batch * padded),
    };
  const scored = Math.max(heldOut.longest, Math.min(heldOut.total, lengths.at(-1)!));
  return {
    training: lengths.map(line),
    scoring: line(lengths.find((tokens) => tokens >= scored) ?? roundedUp(scored)),
    meanSlots: mean,
    fill: meanTokens / mean,
  };
}

/**
 * A layout for batches of so many labels at most: logits are made at those places alone, where these are clearly fewer
 * than the tokens.
 */
export function withLabels({ batch, tokens, longestExample }: BatchLayout, most: number): BatchLayout {
  const layout = { batch, tokens, ...(longestExample !== undefined && { longestExample }) };
  const labels = 32 * Math.max(1, Math.ceil(most / 32));
  return labels <= fewLabels * batch * tokens ? { ...layout, labels } : layout;
}

/**
 * A layout that looks no further back than its batches need, by whole blocks: those that look equally far back share
 * what is compiled.
 * @param rows what lies side by side in each row of its batches: tokens of each example, in their order
 */
export function withFirstKeys(layout: BatchLayout, rows: Iterable<ArrayLike<number>>): BatchLayout {
  const { tokens, longestExample } = layout;
  if (longestExample === undefined) return layout;
  const firstKeys = Array.from({ length: Math.ceil(tokens / lineStep) }, (_, block) => block * lineStep);
  for (const row of rows)
    forEachFirstKey(row, (block, firstKey) => {
      if (firstKey < (firstKeys[block] ?? 0)) firstKeys[block] = firstKey;
    });
  return { ...layout, firstKeys: firstKeys.map((key) => lineStep * Math.floor(key / lineStep)) };
}

/**
 * What is seen from the blocks of a row: for each block that does not begin with an example, where the example begins
 * that reaches into it.
 * @param lengths tokens of the examples side by side
 */
export function forEachFirstKey(
  lengths: ArrayLike<number>,
  tell: (block: number, firstKey: number) => void,
): void {
  let begin = 0;
  for (let i = 0; i < lengths.length; i++) {
    const end = begin + lengths[i]!;
    for (let block = Math.floor(begin / lineStep) + 1; block * lineStep < end; block++) tell(block, begin);
    begin = end;
  }
}

/** How the rows of a pass lie side by side, as a sentence; null: they do not. */
export function lineWords({ training, fill }: PassLayouts): string | null {
  if (training.at(-1)!.longestExample === undefined) return null;
  const lengths = training
    .map(({ tokens }) => tokens)
    .join(', ')
    .replace(/, (\d+)$/, ' or $1');
  return `The rows of a pass lie side by side in a line of ${lengths} tokens: ${(100 * fill).toFixed(0)} % of the slots hold one, and the gradient is that of padded rows.`;
}

/** What so many slots of a layout cost, in tokens without attention. */
function costOf({ tokens, longestExample = tokens }: BatchLayout, slots: number): number {
  const keys = Math.min((tokens + lineStep) / 2, longestExample + lineStep / 2);
  return slots * (1 + keys * costOfKey);
}

/** Lines of a few lengths share what is compiled for blocks of queries where they are whole blocks. */
function roundedUp(tokens: number): number {
  const step = tokens > 1024 ? lineStep : tokens > 128 ? 32 : 8;
  return step * Math.max(1, Math.ceil(tokens / step));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
