import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import type { Dataset, DatasetFormat, Example } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { syncFolder } from '../formats/files/atomicFile.ts';
import { describeFormats, detectFormat, toExample } from './formats.ts';
import { readLines } from './lines.ts';
import { readRawRows, type RawRow } from './rows.ts';

export type ImportedDataset = Pick<
  Dataset,
  'file' | 'format' | 'rows' | 'sizeBytes' | 'contentHash' | 'statistics'
>;

/**
 * Reads a dataset file row by row and writes its rows as prompt and answer into `folder`, named by their hash.
 * @returns what was found; `file` is the name inside `folder`
 * @throws StudioError dataset_empty, dataset_invalid (row, fields found and expected); nothing is left behind
 */
export async function importDataset(options: {
  path: string;
  format: DatasetFormat | 'auto';
  folder: string;
  onProgress?: (rows: number) => void;
}): Promise<ImportedDataset> {
  const { path, folder, onProgress } = options;
  mkdirSync(folder, { recursive: true });
  const temporary = join(folder, `.import.${process.pid}.${Date.now()}.partial`);
  const fd = openSync(temporary, 'w');
  const hash = createHash('sha256');
  const seen = new Set<string>();
  const sums = { prompt: 0, answer: 0, promptMax: 0, answerMax: 0 };
  let format: DatasetFormat | null = options.format === 'auto' ? null : options.format;
  let rows = 0;
  try {
    for await (const raw of readRawRows(path)) {
      format ??= detectOrThrow(path, raw);
      const example = toExample(path, raw, format);
      const line = `${JSON.stringify(example)}\n`;
      writeSync(fd, line);
      hash.update(line);
      seen.add(createHash('sha256').update(line).digest('base64').slice(0, 16));
      sums.prompt += example.prompt.length;
      sums.answer += example.answer.length;
      sums.promptMax = Math.max(sums.promptMax, example.prompt.length);
      sums.answerMax = Math.max(sums.answerMax, example.answer.length);
      rows++;
      if (rows % 1000 === 0) onProgress?.(rows);
    }
    fsyncSync(fd);
    const contentHash = hash.digest('hex');
    const file = `${contentHash}.jsonl`;
    const final = join(folder, file);
    if (!existsSync(final)) renameSync(temporary, final);
    syncFolder(folder);
    return {
      file,
      format: format!,
      rows,
      sizeBytes: statSync(final).size,
      contentHash,
      statistics: {
        promptCharactersMean: sums.prompt / rows,
        promptCharactersMax: sums.promptMax,
        answerCharactersMean: sums.answer / rows,
        answerCharactersMax: sums.answerMax,
        duplicateRows: rows - seen.size,
      },
    };
  } finally {
    closeSync(fd);
    // After a failure; a finished file has its final name by now.
    rmSync(temporary, { force: true });
  }
}

function detectOrThrow(path: string, { number, value }: RawRow): DatasetFormat {
  const format = detectFormat(value);
  if (format) return format;
  throw new StudioError(
    'dataset_invalid',
    `${basename(path)}, row ${number} has the fields ${Object.keys(value).slice(0, 10).join(', ') || '(none)'}, which fit no known format.`,
    `Known formats are ${describeFormats()}. Rename the fields, or choose the format yourself.`,
  );
}

/** Rows of an imported dataset, from `offset`, at most `limit`. */
export async function* readExamples(
  path: string,
  range: { offset?: number; limit?: number } = {},
): AsyncGenerator<Example> {
  const { offset = 0, limit = Infinity } = range;
  let index = 0;
  if (limit <= 0) return;
  for await (const { text } of readLines(path, Infinity)) {
    if (index++ < offset) continue;
    yield JSON.parse(text) as Example;
    if (index >= offset + limit) return;
  }
}
