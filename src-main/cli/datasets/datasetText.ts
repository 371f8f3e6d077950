import type { Inspection } from '../../contract/datasets/datasetProcedures.ts';
import type { FindingKind, RowStatistics } from '../../contract/datasets/statistics.ts';
import { unusableText, type UnusedCounts } from '../../contract/datasets/unusable.ts';
import type { Dataset } from '../../contract/entities.ts';
import { largestTask, type Row } from '../../contract/rows.ts';
import { formatCount } from '../output.ts';

export function partLines({ stretches, files }: Dataset): string[] {
  const isTrain = stretches.every(({ split }) => split === 'train');
  if (isTrain && files.length === 1) return [];
  return stretches.map(({ split, rows }) => {
    const mine = files.filter((file) => file.split === split);
    const [first] = mine;
    const from = mine.length === 1 ? first!.name : `${mine.length} files`;
    return `  ${split}: ${formatCount(rows)} rows from ${from}${first ? ` (${first.reason})` : ''}`;
  });
}

export function unusedLines({ rows, reasons }: UnusedCounts): string[] {
  if (rows === 0) return [];
  return [
    `Set aside: ${formatCount(rows)} ${rows === 1 ? 'row' : 'rows'}.`,
    ...reasons.map(
      (one) =>
        `  ${formatCount(one.rows)}: ${unusableText({ ...one, detail: null })} (the first is ${one.file}, row ${one.number})`,
    ),
  ];
}

export function changedText(dataset: Dataset): string {
  return [
    `"${dataset.name}" has ${formatCount(dataset.rows)} usable rows.`,
    ...partLines(dataset),
    ...unusedLines(dataset.unused),
  ].join('\n');
}

export function inspectionText(found: Inspection): string {
  return [
    `Format ${found.format}. ${found.reason}`,
    ...found.files.map(({ name, split, reason }) => `  ${name}: ${split} (${reason})`),
    ...found.skippedFiles.map(({ name, reason }) => `  ${name}: left out, ${reason}`),
    `Fields: ${found.columns.join(', ')}${found.unreadColumns.length > 0 ? `; not read: ${found.unreadColumns.join(', ')}` : ''}`,
    `Of ${found.sampledRows} rows that were looked at ${found.sampledRows - found.unused.rows} can be used.`,
    ...unusedLines(found.unused),
    ...found.rows
      .slice(0, 3)
      .map(
        ({ file, number: n, row, unusable }) =>
          `${file}, row ${n} ${unusable ? unusableText(unusable) : `is\n${rowText(row)}`}`,
      ),
  ].join('\n');
}

function rowText(row: Row | null): string {
  if (!row) return '';
  if (row.kind === 'text') return row.text;
  if (row.kind === 'verbatim') return `${row.prompt}${row.answer}`;
  return row.turns
    .map(({ role, content, input }) => `  ${role}: ${content}${input ? `\n  input: ${input}` : ''}`)
    .join('\n');
}

export function foreignTaskNote({ rows, example }: { rows: number; example: string }): string {
  return `In ${formatCount(rows)} rows the field "task" is no whole number from 0 to ${largestTask} (for example ${example}). It is not read; only MoELoRA's task gate would use it.`;
}

const findingWords: Readonly<Record<FindingKind, string>> = {
  exact_duplicates: 'say the same as a row before',
  near_duplicates: 'say nearly the same as a row before',
  benchmark_overlap: 'share 13 words in a row with a test item of',
  repeats_prompt: 'repeat the prompt in the answer',
  refusal: 'decline to answer',
  odd_characters: 'hold control characters or letters that could not be read',
  short_answer: 'have an answer of one or two characters',
};

export function statisticsText({ rows, findings, languages, comparedRows }: RowStatistics): string {
  const lines = findings.map(({ kind, with: other, rows: count, indices, earlier }) => {
    const named = indices
      .slice(0, 10)
      .map((index, i) => (earlier[i] === undefined ? `${index + 1}` : `${index + 1} (as ${earlier[i] + 1})`));
    const more = count > named.length ? ', ...' : '';
    return `${formatCount(count)} of ${formatCount(rows)} rows ${findingWords[kind]}${other === null ? '' : ` "${other}"`}: ${named.join(', ')}${more}`;
  });
  return [
    ...(lines.length === 0 ? ['Nothing was found that spoils training.'] : lines),
    `Languages: ${languages.map(({ code, rows: count }) => `${code} ${formatCount(count)}`).join(', ')} (und: too short to tell).`,
    ...(comparedRows < rows
      ? [`Near duplicates were looked for in the first ${formatCount(comparedRows)} different rows.`]
      : []),
  ].join('\n');
}
