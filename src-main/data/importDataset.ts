import { createHash, randomUUID } from 'node:crypto';
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
import { join } from 'node:path';
import type { Dataset, DatasetFormat, Example } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { syncFolder } from '../formats/files/atomicFile.ts';
import { formatOf, isTask, toExample } from './formats.ts';
import { readRawRows } from './rows.ts';

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
  /** A label of TextDecoder; absent: UTF-8, or what the byte order mark says. */
  encoding?: string | undefined;
  folder: string;
  onProgress?: (rows: number) => void;
}): Promise<ImportedDataset> {
  const { path, folder, onProgress } = options;
  mkdirSync(folder, { recursive: true });
  // By chance, not by the clock: two files may be imported in the same millisecond.
  const temporary = join(folder, `.import.${randomUUID()}.partial`);
  const fd = openSync(temporary, 'wx');
  const hash = createHash('sha256');
  const seen = new Set<string>();
  const sums = { prompt: 0, answer: 0, promptMax: 0, answerMax: 0 };
  let format: DatasetFormat | null = options.format === 'auto' ? null : options.format;
  let rows = 0;
  const foreignTasks = { rows: 0, example: '' };
  const refused: { number: number; error: StudioError }[] = [];
  try {
    for await (const raw of readRawRows(path, options.encoding)) {
      format ??= formatOf(path, raw);
      let example: Example;
      try {
        example = toExample(path, raw, format);
      } catch (error) {
        if (!(error instanceof StudioError)) throw error;
        refused.push({ number: raw.number, error });
        continue;
      }
      const { task } = raw.value;
      if (task !== undefined && task !== null && !isTask(task)) {
        foreignTasks.example ||= JSON.stringify(task).slice(0, 100);
        foreignTasks.rows++;
      }
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
    if (refused.length > 0) throw refusedRows(refused);
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
        ...(foreignTasks.rows > 0 && { foreignTasks }),
      },
    };
  } finally {
    closeSync(fd);
    // After a failure; a finished file has its final name by now.
    rmSync(temporary, { force: true });
  }
}

/** The first row's error, with the numbers of the others: all can be corrected at once. */
function refusedRows([first, ...others]: readonly { number: number; error: StudioError }[]): StudioError {
  const { code, message, remedy } = first!.error;
  if (others.length === 0) return first!.error;
  const numbers = others.slice(0, 10).map(({ number }) => number);
  const more = others.length > numbers.length ? ` and ${others.length - numbers.length} more` : '';
  return new StudioError(
    code,
    `${message} Nor can ${others.length === 1 ? 'row' : `${others.length} other rows be used:`} ${numbers.join(', ')}${more}${others.length === 1 ? ' be used' : ''}.`,
    remedy.replace('the row, or take it', 'the rows, or take them'),
  );
}
