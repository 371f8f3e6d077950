import { hash } from 'node:crypto';
import type { Row } from '../contract/rows.ts';
import { readRows, type StoredDataset } from './readRows.ts';

/**
 * Numbers by which rows are recognized wherever they stand: in another file, order, template or spelling. 53 bits of a
 * SHA-256: of two files with a hundred thousand rows each, one pair in a million agrees by chance.
 */
export type RowKey = number;

/** With a shorter question the answer counts, too: many rows may ask the same in a few words. */
const leastQuestion = 24;

/** The frames that the studio put around a question before there were templates. */
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
export function rowKey(row: Row): RowKey {
  const [asked, answer] = askedAndAnswered(row);
  const question = normalized(asked);
  const text = question.length >= leastQuestion ? question : normalized(`${question} ${answer}`);
  const digest = hash('sha256', text, 'buffer');
  return digest.readUInt32LE(0) + (digest.readUInt32LE(4) & 0x1fffff) * 2 ** 32;
}

function askedAndAnswered(row: Row): [string, string] {
  switch (row.kind) {
    case 'text':
      return ['', row.text];
    case 'verbatim':
      return [questionOf(row.prompt), row.answer];
    case 'chat': {
      const last = row.turns.findLastIndex(({ role }) => role === 'assistant');
      const before = row.turns.slice(0, last < 0 ? undefined : last);
      const asked = before.map(({ content, input }) => (input ? `${content}\n${input}` : content)).join('\n');
      return [asked, last < 0 ? '' : row.turns[last]!.content];
    }
  }
}

/** Keys of an imported dataset's rows, in their order. */
export async function readRowKeys(folder: string, dataset: StoredDataset): Promise<Float64Array> {
  const keys: RowKey[] = [];
  for await (const { row } of readRows(folder, dataset)) keys.push(rowKey(row));
  return Float64Array.from(keys);
}

/** How many of some rows stand among others. */
export function countShared(rows: Iterable<RowKey>, others: ReadonlySet<RowKey>): number {
  let shared = 0;
  for (const key of rows) if (others.has(key)) shared++;
  return shared;
}
