import type { BenchmarkRecord } from './benchmark.ts';
import { missingField, optionalText } from './recordFields.ts';

/**
 * Question and reference answer of a row: by the names of a benchmark's own fields, else by how the row was read as
 * data (its last user's turn, its last assistant's turn).
 * @throws StudioError dataset_invalid where there is no question
 */
export function rowQuestion(
  record: BenchmarkRecord,
  benchmark: string,
  names: { question: readonly string[]; answer: readonly string[] },
): { question: string; answer: string } {
  const question = optionalText(record, ...names.question);
  const answer = optionalText(record, ...names.answer);
  if (question !== undefined && answer !== undefined) return { question, answer };
  const { row } = record;
  if (row?.kind === 'verbatim') return { question: row.prompt, answer: row.answer };
  if (row?.kind === 'chat') {
    const last = row.turns.findLastIndex(({ role }) => role === 'assistant');
    const asked = row.turns.slice(0, last < 0 ? undefined : last).findLast(({ role }) => role === 'user');
    if (asked)
      return {
        question: asked.input ? `${asked.content}\n\n${asked.input}` : asked.content,
        answer: last < 0 ? (answer ?? '') : row.turns[last]!.content,
      };
  }
  throw missingField(record, benchmark, names.question.map((name) => `"${name}"`).join(' or '));
}
