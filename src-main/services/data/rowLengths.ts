import type { RowLengths } from '../../contract/forecast.ts';
import type { Row } from '../../contract/rows.ts';
import { createRandom } from '../../statistics/random.ts';
import { labelCount } from '../../formats/files/tokenFile.ts';
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
  const all = new Map<RenderedAs, { tokens: number; labels: number }>();
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
      for await (const row of tokenized)
        all.set(list[at++]!, { tokens: row.ids.length, labels: labelCount(row) });
    }
  });
  const counts = sample.map((one) => all.get(one)!);
  const sum = (key: 'tokens' | 'labels') => counts.reduce((total, one) => total + one[key], 0);
  return {
    lengths: counts.map(({ tokens }) => tokens).sort((a, b) => a - b),
    longest: [...all.values()].reduce((most, { tokens }) => Math.max(most, tokens), 0),
    rows,
    trainedShare: sum('labels') / Math.max(1, sum('tokens')),
  };
}

function mostOf<T extends { size: number }>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => b.size - a.size).slice(0, longestRows);
}
