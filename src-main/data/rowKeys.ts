import { createHash } from 'node:crypto';
import type { Example } from '../contract/entities.ts';
import { readRows, type StoredDataset } from './readRows.ts';
import { exampleOf } from './rowExample.ts';

/**
 * Numbers by which rows are recognized wherever they stand: in another file, order, template or spelling. 53 bits of a
 * SHA-256: of two files with a hundred thousand rows each, one pair in a million agrees by chance.
 */
export type RowKey = number;

/** With a shorter question the answer counts, too: many rows may ask the same in a few words. */
const leastQuestion = 24;

/** The frames that the studio puts around a question (data/formats.ts). */
const frames = [
  /^Question: ([\s\S]*)\nAnswer:$/,
  /^Below is an instruction that describes a task[\s\S]*?### Instruction:\n([\s\S]*)\n\n### Response:$/,
];

/** What is asked, without a frame. */
function questionOf(prompt: string): string {
  for (const frame of frames) {
    const inner = frame.exec(prompt)?.[1];
    if (inner !== undefined) return inner.replace('\n\n### Input:\n', '\n');
  }
  // The roles of a chat are its frame.
  return prompt.replace(/^(?:user|assistant|system):/gm, '');
}

/** Lower case, compatible letters (NFKC), one space for any white space. */
function normalized(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}

/** The key of a row: of what it asks, or of all its text where that is short. */
export function rowKey({ prompt, answer }: Pick<Example, 'prompt' | 'answer'>): RowKey {
  const question = normalized(questionOf(prompt));
  const text = question.length >= leastQuestion ? question : normalized(`${question} ${answer}`);
  const digest = createHash('sha256').update(text).digest();
  return digest.readUInt32LE(0) + (digest.readUInt32LE(4) & 0x1fffff) * 2 ** 32;
}

/** Keys of an imported dataset's rows, in their order. */
export async function readRowKeys(folder: string, dataset: StoredDataset): Promise<Float64Array> {
  const keys: RowKey[] = [];
  for await (const { row } of readRows(folder, dataset)) keys.push(rowKey(exampleOf(row)));
  return Float64Array.from(keys);
}

/** How many of some rows stand among others. */
export function countShared(rows: Iterable<RowKey>, others: ReadonlySet<RowKey>): number {
  let shared = 0;
  for (const key of rows) if (others.has(key)) shared++;
  return shared;
}
