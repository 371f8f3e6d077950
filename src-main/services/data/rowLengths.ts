import type { RowLengths } from '../../contract/forecast.ts';
import type { Row } from '../../contract/rows.ts';
import { openRows } from '../../data/mix/rowPlan.ts';
import { rowSlots } from '../../data/packing.ts';
import { createRandom } from '../../statistics/random.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import { charactersOf } from '../../data/rendering/tokenizeRow.ts';
import { tokenizedRows } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread, type TokenizerOwner } from '../tokenizer/tokenizerThread.ts';

/** So many rows are counted at most: all of a small dataset, a sample of a large one. */
const sampledRows = 1000;

/** So many of the rows with most characters are counted besides: the longest by tokens is among them. */
const longestRows = 50;

/** A row with the template that it goes through. */
export interface RenderedAs {
  row: Row;
  rendering: Rendering;
}

/**
 * Tokens of rows through their templates, end token included.
 * @param given the rows of one dataset after the other
 * @param signal aborting ends it at once, in the middle of a row, too
 */
export async function countRowLengths(
  owner: TokenizerOwner,
  given: AsyncIterable<RenderedAs>,
  signal: AbortSignal,
): Promise<RowLengths> {
  const random = createRandom(1);
  const sample: RenderedAs[] = [];
  let longest: { size: number; of: RenderedAs }[] = [];
  let rows = 0;
  for await (const one of given) {
    signal.throwIfAborted();
    rows++;
    // A sample of rows whose number is not known before (Vitter's algorithm R).
    if (sample.length < sampledRows) sample.push(one);
    else {
      const place = random.integer(rows);
      if (place < sampledRows) sample[place] = one;
    }
    longest.push({ size: charactersOf(one.row), of: one });
    if (longest.length > 4 * longestRows) longest = mostOf(longest);
  }
  const extremes = mostOf(longest).map(({ of }) => of);
  const all = new Map<RenderedAs, number>();
  await withTokenizerThread(signal, async (thread) => {
    const chosen = [...new Set([...sample, ...extremes])];
    for (const rendering of new Set(chosen.map((one) => one.rendering))) {
      const list = chosen.filter((one) => one.rendering === rendering);
      let at = 0;
      const tokenized = tokenizedRows(
        thread,
        owner,
        list.map(({ row }) => row),
        rendering,
      );
      for await (const { ids } of tokenized) all.set(list[at++]!, ids.length);
    }
  });
  const lengths = sample.map((one) => all.get(one)!).sort((a, b) => a - b);
  return { lengths, longest: [...all.values()].reduce((most, length) => Math.max(most, length), 0), rows };
}

function mostOf<T extends { size: number }>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => b.size - a.size).slice(0, longestRows);
}

/**
 * Tokens of a batch's rows as the engine lays them out (engine/training/trainer.ts), from the files that it trains on.
 */
export function laidOutTokens(
  files: readonly string[],
  { context, packing }: { context: number; packing: boolean },
): number {
  const [training, ...others] = files.map((path) => {
    const rows = openRows(path);
    try {
      return Array.from({ length: rows.rowCount }, (_, row) => rows.length(row));
    } finally {
      rows.close();
    }
  });
  const longest = [training!, ...others].flat().reduce((most, length) => Math.max(most, length), 1);
  const total = training!.reduce((sum, length) => sum + length, 0);
  return rowSlots({ longest, total, context, packing });
}
