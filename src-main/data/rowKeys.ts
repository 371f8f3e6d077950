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
/** Up to here a question with choices may ask the same as others that have other choices. */
const mostGeneric = 64;
const generic = /\b(?:following|statements?|these)\b/;

/** The frames that the studio put around a question before there were templates. */
const frames = [
  /^Question: ([\s\S]*)\nAnswer:$/,
  /^Below is an instruction that describes a task[\s\S]*?### Instruction:\n([\s\S]*)\n\n### Response:$/,
];

/** What people put around a question: a word before it, and before the answer; a sentence over all; a fence. */
const trimmings = [
  /^The following (?:are|is an?) multiple[- ]choice questions?[^\n]*\n+/i,
  /^\s*(?:Question|Q) ?[:.]\s+/i,
  /\n[ \t]{0,8}(?:Answer|A) ?:\s*$/i,
  /^```\w*[ \t]*$/gm,
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

const choiceHeading = /(?:answer )?(?:choices|options)[ \t]?:?$/i;

/** Before a choice stands its letter: at the begin of a line as `A.`, `A)`, `A:` or `(A)`, within one in brackets. */
const choiceMarkers = [...'ABCDEFGHIJ'].map(
  (letter) =>
    new RegExp(`(?:^|\\n)[ \\t]{0,8}(?:\\(${letter}\\)|${letter}[.):])\\s|\\s\\(${letter}\\)\\s`, 'gi'),
);

/**
 * A question and its choices, where it has at least two; they stand in one text in any of the usual layouts. No
 * expression here goes over white space twice: rows may have a megabyte of it.
 */
function splitChoices(text: string): { question: string; choices: string[] } {
  const places: { begin: number; end: number }[] = [];
  for (const marker of choiceMarkers) {
    marker.lastIndex = places.at(-1)?.end ?? 0;
    const found = marker.exec(text);
    if (!found) break;
    places.push({ begin: found.index, end: found.index + found[0].length });
  }
  if (places.length < 2) return { question: text, choices: [] };
  const choices = places.map(
    ({ end }, i) =>
      text
        .slice(end, places[i + 1]?.begin)
        .trim()
        .split('\n')[0]!,
  );
  return { question: text.slice(0, places[0]!.begin).trimEnd().replace(choiceHeading, ''), choices };
}

/** Lower case, compatible letters (NFKC), one space for any white space. */
function normalized(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();
}

/** The key of a row: of what it asks, or of all its text where that is short. */
export function rowKey(row: Row): RowKey {
  const [asked, answer] = askedAndAnswered(row);
  const bare = trimmings.reduce((text, trimming) => text.replace(trimming, ''), asked);
  const { question: stem, choices } = splitChoices(bare);
  const question = normalized(stem);
  const digest = hash('sha256', textOf(question, choices, answer), 'buffer');
  return digest.readUInt32LE(0) + (digest.readUInt32LE(4) & 0x1fffff) * 2 ** 32;
}

/** The order of choices and the letter of the right one change with the layout: they do not count. */
function textOf(question: string, choices: readonly string[], answer: string): string {
  if (choices.length === 0)
    return question.length >= leastQuestion ? question : normalized(`${question} ${answer}`);
  const isTelling =
    question.length >= leastQuestion && (question.length > mostGeneric || !generic.test(question));
  return isTelling ? question : [question, ...choices.map(normalized).sort()].join('\n');
}

function askedAndAnswered(row: Row): [string, string] {
  switch (row.kind) {
    case 'text':
      return ['', row.text];
    case 'verbatim':
      return [questionOf(row.prompt), row.answer];
    case 'chat': {
      const last = row.turns.findLastIndex(({ role }) => role === 'assistant');
      // What a system is told is no part of a question.
      const before = row.turns.slice(0, last < 0 ? undefined : last).filter(({ role }) => role !== 'system');
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
