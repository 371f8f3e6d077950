import type { RowLengths } from '../../contract/forecast.ts';
import type { Row } from '../../contract/rows.ts';
import type { NumberedRow } from '../../data/readRows.ts';
import { createRandom } from '../../statistics/random.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import { charactersOf } from '../../data/rendering/tokenizeRow.ts';
import { TokenFileReader } from '../../formats/files/tokenFile.ts';
import { tokenizedRows } from '../tokenizer/tokenizedRows.ts';
import { withTokenizerThread, type TokenizerOwner } from '../tokenizer/tokenizerThread.ts';

/** So many rows are counted at most: all of a small dataset, a sample of a large one. */
const sampledRows = 1000;

/** So many of the rows with most characters are counted besides: the longest by tokens is among them. */
const longestRows = 50;

/**
 * Tokens of a dataset's rows through a template, end token included.
 * @param signal aborting ends it at once, in the middle of a row, too
 */
export async function countRowLengths(
  owner: TokenizerOwner,
  dataset: AsyncIterable<NumberedRow>,
  rendering: Rendering,
  signal: AbortSignal,
): Promise<RowLengths> {
  const random = createRandom(1);
  const sample: Row[] = [];
  let longest: { size: number; row: Row }[] = [];
  let rows = 0;
  for await (const { row } of dataset) {
    signal.throwIfAborted();
    rows++;
    // A sample of rows whose number is not known before (Vitter's algorithm R).
    if (sample.length < sampledRows) sample.push(row);
    else {
      const place = random.integer(rows);
      if (place < sampledRows) sample[place] = row;
    }
    longest.push({ size: charactersOf(row), row });
    if (longest.length > 4 * longestRows) longest = mostOf(longest);
  }
  const extremes = mostOf(longest).map(({ row }) => row);
  const all: number[] = [];
  await withTokenizerThread(signal, async (thread) => {
    const tokenized = tokenizedRows(thread, owner, [...sample, ...extremes], rendering);
    for await (const { ids } of tokenized) all.push(ids.length);
  });
  const lengths = all.slice(0, sample.length).sort((a, b) => a - b);
  return { lengths, longest: all.reduce((most, length) => Math.max(most, length), 0), rows };
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
    const reader = new TokenFileReader(path);
    try {
      return Array.from({ length: reader.rowCount }, (_, row) => reader.length(row));
    } finally {
      reader.close();
    }
  });
  const eights = (tokens: number) => 8 * Math.ceil(tokens / 8);
  const most = [training!, ...others].flat().reduce((longest, length) => Math.max(longest, length), 1);
  const longest = Math.min(context, eights(most));
  if (!packing) return longest;
  const all = training!.reduce((total, length) => total + length, 0);
  return Math.min(context, Math.max(longest, eights(all)));
}
