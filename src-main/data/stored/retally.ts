import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Mapping } from '../../contract/datasets/mapping.ts';
import { unusedRowSchema, type UnusedRow } from '../../contract/datasets/unusable.ts';
import type { Dataset, DatasetFormat, Stretch } from '../../contract/entities.ts';
import { isObject } from '../mapping/fields.ts';
import { parseJson } from '../readers/parseRow.ts';
import { applyEdit, type Edits } from './editLayer.ts';
import { RowTally, type Tally } from './rowTally.ts';
import { readLinesAt } from './sourceIndex.ts';
import { storedFiles } from './storedFiles.ts';

/** All rows of a dataset's copy. */
export function sourceRowCount({ stretches }: Pick<Dataset, 'stretches'>): number {
  return stretches.reduce((sum, { sourceRows }) => sum + sourceRows, 0);
}

/** The name of a file that rows came from. */
export function fileName({ files }: Pick<Dataset, 'files'>, file: number): string {
  return files[file]?.name ?? `file ${file + 1}`;
}

/** Counts a dataset's rows anew, as other mappings, parts or edits make them. @throws the signal's reason */
export async function retally(
  folder: string,
  dataset: Dataset,
  as: {
    mappings: readonly Mapping[];
    format: DatasetFormat;
    stretches: readonly Pick<Stretch, 'split' | 'sourceRows'>[];
    edits: Edits;
  },
  signal: AbortSignal,
  onRows: (done: number, total: number) => void,
): Promise<Tally> {
  const files = storedFiles(folder, dataset);
  const tally = new RowTally(as.mappings, as.format);
  const total = sourceRowCount(dataset);
  const ends: number[] = [];
  for (const { sourceRows } of as.stretches) ends.push((ends.at(-1) ?? 0) + sourceRows);
  let stretch = -1;
  for await (const { index, text, file, number } of readLinesAt(files, { begin: 0, end: total })) {
    while (index >= (ends[stretch] ?? 0)) tally.beginStretch(as.stretches[++stretch]!.split);
    if (index % 1024 === 0) {
      signal.throwIfAborted();
      onRows(index, total);
    }
    const edit = as.edits.get(index);
    const value = applyEdit(parseJson(text), edit);
    const from = { file: fileName(dataset, file), number };
    tally.add(isObject(value) ? value : {}, from, edit?.excluded === true);
  }
  for await (const row of readBroken(files.broken)) tally.refuse(row, row);
  onRows(total, total);
  return tally.result();
}

/** Rows that were no rows, in the order of their files. */
export async function* readBroken(path: string): AsyncGenerator<UnusedRow> {
  if (!existsSync(path)) return;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
    if (line !== '') yield unusedRowSchema.parse(JSON.parse(line));
}
