import { parentPort, workerData } from 'node:worker_threads';
import { toPlainError, type PlainError } from '../../../contract/errors.ts';
import type { Row } from '../../../contract/rows.ts';
import { readRows, type StoredDataset } from '../../../data/readRows.ts';
import { wordStretches } from '../../../data/statistics/rowFindings.ts';

/** Texts of items, and the rows among which words of theirs are looked for. */
export interface OverlapWork {
  folder: string;
  /** What each item asks, or says where it asks nothing. */
  texts: readonly string[];
  /** Numbers of rows of datasets, ascending. */
  parts: readonly { dataset: StoredDataset; rows: readonly number[] }[];
}

/** `items`: how many share a stretch of words with a row. */
export type OverlapAnswer = { kind: 'done'; items: number } | { kind: 'failed'; error: PlainError };

/** Entry of the thread in which rows that were trained on are looked through: there may be millions of them. */
async function look({ folder, texts, parts }: OverlapWork): Promise<number> {
  const itemsOf = new Map<number, number[]>();
  texts.forEach((text, item) => {
    for (const stretch of wordStretches(text)) {
      const items = itemsOf.get(stretch) ?? [];
      if (items.at(-1) !== item) items.push(item);
      itemsOf.set(stretch, items);
    }
  });
  const found = new Set<number>();
  for (const { dataset, rows } of parts) {
    let next = 0;
    for await (const { index, row } of readRows(folder, dataset)) {
      if (next === rows.length) break;
      if (index !== rows[next]) continue;
      next++;
      for (const text of textsOf(row))
        for (const stretch of wordStretches(text))
          for (const item of itemsOf.get(stretch) ?? []) found.add(item);
    }
  }
  return found.size;
}

/** What stands together in a row: words of two turns do not stand on end. */
function textsOf(row: Row): string[] {
  if (row.kind === 'text') return [row.text];
  if (row.kind === 'verbatim') return [row.prompt, row.answer];
  return row.turns.map(({ content }) => content);
}

const say = (answer: OverlapAnswer) => parentPort!.postMessage(answer);
look(workerData as OverlapWork).then(
  (items) => say({ kind: 'done', items }),
  (error: unknown) => say({ kind: 'failed', error: toPlainError(error) }),
);
