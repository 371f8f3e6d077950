import { franc } from 'franc-min';
import type { Row } from '../../contract/rows.ts';
import {
  mostNamedRows,
  type Finding,
  type FindingKind,
  type RowStatistics,
} from '../../contract/datasets/statistics.ts';
import { contentKey } from '../../formats/files/tokenFile.ts';
import { createNearDuplicates, hashOf } from './minHash.ts';

/** Words in a row that make an overlap with a test item, as GPT-3's authors (Brown et al. 2020, C) counted them. */
export const overlapWords = 13;

/** Near duplicates take some 270 bytes a row: of a larger dataset the first rows are compared. */
const mostCompared = 1_000_000;
/** A language is judged by the begin of a row, and not at all by less. */
const [leastForLanguage, mostForLanguage] = [40, 500];

/** Test items, by the numbers of their stretches of 13 words. */
export interface KnownItems {
  name: string;
  stretches: ReadonlySet<number>;
}

/** Numbers of all stretches of 13 words of a text; a shorter text is one stretch where it has at least 8 words. */
export function wordStretches(text: string): number[] {
  const words = wordsOf(text);
  if (words.length < overlapWords) return words.length < 8 ? [] : [hashOf(words, 0, words.length)];
  return Array.from({ length: words.length - overlapWords + 1 }, (_, at) => hashOf(words, at, overlapWords));
}

/** Looks at the rows of a dataset, one after the other. */
export function createRowFindings(known: readonly KnownItems[]) {
  const found = new Map<string, Finding>();
  const languages = new Map<string, number>();
  /** By what a row says, the first row that says it. */
  const seen = new Map<number, number>();
  const near = createNearDuplicates();
  let [rows, compared] = [0, 0];
  const note = (kind: FindingKind, index: number, other: string | null = null, earlier?: number) => {
    const key = `${kind} ${other ?? ''}`;
    const finding = found.get(key) ?? { kind, with: other, rows: 0, indices: [], earlier: [] };
    finding.rows++;
    if (finding.indices.length < mostNamedRows) {
      finding.indices.push(index);
      if (earlier !== undefined) finding.earlier.push(earlier);
    }
    found.set(key, finding);
  };
  return {
    add(index: number, row: Row): void {
      rows++;
      const { asked, answer } = partsOf(row);
      const text = `${asked}\n${answer}`;
      const key = contentKey(JSON.stringify(row));
      const earlier = seen.get(key);
      if (earlier !== undefined) note('exact_duplicates', index, null, earlier);
      else {
        seen.set(key, index);
        if (compared < mostCompared) {
          compared++;
          near.add(index, text);
        }
      }
      const stretches = known.length === 0 ? [] : wordStretches(asked === '' ? answer : asked);
      for (const { name, stretches: items } of known)
        if (stretches.some((stretch) => items.has(stretch))) note('benchmark_overlap', index, name);
      if (repeatsPrompt(asked, answer)) note('repeats_prompt', index);
      if (refusal.test(answer)) note('refusal', index);
      if (odd.test(text)) note('odd_characters', index);
      if (row.kind !== 'text' && answer.trim().length <= 2) note('short_answer', index);
      const language = languageOf(text);
      languages.set(language, (languages.get(language) ?? 0) + 1);
    },
    result(): RowStatistics {
      for (const { row, of } of near.found()) note('near_duplicates', row, null, of);
      return {
        rows,
        findings: [...found.values()],
        languages: [...languages]
          .map(([code, count]) => ({ code, rows: count }))
          .sort((a, b) => b.rows - a.rows || (a.code < b.code ? -1 : 1)),
        comparedRows: compared,
      };
    },
  };
}

/** What is asked before the last answer, and that answer. */
function partsOf(row: Row): { asked: string; answer: string } {
  switch (row.kind) {
    case 'text':
      return { asked: '', answer: row.text };
    case 'verbatim':
      return { asked: row.prompt, answer: row.answer };
    case 'chat': {
      const last = row.turns.findLastIndex(({ role }) => role === 'assistant');
      const before = row.turns.slice(0, last < 0 ? undefined : last).filter(({ role }) => role !== 'system');
      const asked = before.map(({ content, input }) => (input ? `${content}\n${input}` : content)).join('\n');
      return { asked, answer: last < 0 ? '' : row.turns[last]!.content };
    }
  }
}

function repeatsPrompt(asked: string, answer: string): boolean {
  const question = asked.trim();
  return question.length >= 20 && answer.trimStart().startsWith(question);
}

/** How assistants decline, at the begin of an answer: words alone, so some helpful answers are among them. */
const refusal =
  /^\s*(?:(?:I'm|I am|I’m) (?:very |really |so )?(?:sorry|afraid|unable|not able)|(?:Sorry|Apologies)\b|I (?:cannot|can't|can’t|won't|won’t|will not|must decline|apologi[sz]e)|As an AI\b|Unfortunately, I (?:can|am|will))/i;

/** Control characters but for tab and line ends, letters that could not be read, private letters, invisible signs. */
const odd = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\ufffd\ue000-\uf8ff\u200b\u2060\ufeff]/;

function languageOf(text: string): string {
  const begin = text.slice(0, mostForLanguage).trim();
  return begin.length < leastForLanguage ? 'und' : franc(begin, { minLength: leastForLanguage });
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
}
