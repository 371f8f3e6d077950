import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { countRows } from '../../contract/datasets/parts.ts';
import type { Dataset, Model } from '../../contract/entities.ts';
import type { Split } from '../../contract/rows.ts';
import { readRows } from '../../data/readRows.ts';
import type { Rendering } from '../../data/rendering/renderer.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { contentKey, TokenFileWriter } from '../../formats/files/tokenFile.ts';
import { readingOf } from '../../formats/model/identity.ts';
import { renderingKey, tokenizedRows } from '../tokenizer/tokenizedRows.ts';
import type { TokenizerThread } from '../tokenizer/tokenizerThread.ts';

/** So many rows are tokenized between two reports. */
const reportedRows = 128;

/** Everything that decides a source's tokens. */
export interface TokenSource {
  model: Model;
  dataset: Dataset;
  split: Split;
  rendering: Rendering;
}

/**
 * Tokenizes a part of a dataset into the cache, whole rows whatever the context: what a mix takes of it, and to what
 * length, changes nothing here.
 * @returns the token file
 */
export async function tokenizeSource(
  thread: TokenizerThread,
  source: TokenSource,
  options: {
    datasetFolder: string;
    cacheFolder: string;
    signal: AbortSignal;
    onRows(done: number, total: number): void;
  },
): Promise<string> {
  const { model, dataset, split, rendering } = source;
  const { datasetFolder, cacheFolder, signal, onRows } = options;
  const key = createHash('sha256')
    .update(
      JSON.stringify([
        'tokens 4',
        dataset.contentHash,
        split,
        readingOf(model),
        await renderingKey(thread, model, rendering),
      ]),
    )
    .digest('hex');
  const path = join(cacheFolder, 'tokens', `${key}.tokens`);
  if (existsSync(path)) return path;
  const total = countRows(dataset, split);
  const keys: number[] = [];
  const rows = async function* () {
    for await (const { row } of readRows(datasetFolder, dataset, { split })) {
      signal.throwIfAborted();
      keys.push(contentKey(JSON.stringify(row)));
      yield row;
    }
  };
  const writer = new TokenFileWriter(path);
  try {
    let done = 0;
    let refusal: string | null = null;
    for await (const row of tokenizedRows(thread, model, rows(), rendering)) {
      refusal ??= row.refused ?? null;
      writer.add(row, keys[done]!);
      if (++done % reportedRows === 0 || done === total) onRows(done, total);
    }
    if (refusal !== null) writeFileAtomic(refusalOf(path), refusal);
    writer.finish();
  } catch (error) {
    writer.abort();
    throw error;
  }
  return path;
}

/** Where it is said what a template does not take of the rows of a token file: of the first such row. */
export function refusalOf(path: string): string {
  return `${path}.refusal`;
}
