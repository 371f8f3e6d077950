import { join } from 'node:path';
import type { Dataset } from '../contract/entities.ts';
import { verbatimRowSchema, type Row, type Split } from '../contract/rows.ts';
import { readLines } from './lines.ts';

/** A usable row of a dataset. */
export interface NumberedRow {
  /** 0-based, among all usable rows of the dataset, whatever part of them is read. */
  index: number;
  row: Row;
}

/** What reading needs to know of a dataset. */
export type StoredDataset = Pick<Dataset, 'name' | 'file' | 'rows'>;

export interface RowRange {
  /** Rows of this part alone; absent: of all parts. */
  split?: Split | undefined;
  /** Rows of the split (or of all) to leave out at the begin. */
  offset?: number;
  limit?: number;
}

/**
 * Usable rows of a dataset in their order: the one way in which rows reach tokenizing, previews, statistics and
 * scoring.
 * @param folder where the library keeps its copies
 */
export async function* readRows(
  folder: string,
  dataset: StoredDataset,
  { split, offset = 0, limit = Infinity }: RowRange = {},
): AsyncGenerator<NumberedRow> {
  const { begin, count } = rowsOfSplit(dataset, split);
  const first = begin + offset;
  const end = Math.min(begin + count, first + limit);
  if (first >= end) return;
  let index = 0;
  for await (const { text } of readLines(join(folder, dataset.file), Infinity)) {
    if (index >= first) yield { index, row: storedRow(text) };
    if (++index >= end) return;
  }
}

/** Which of a dataset's usable rows belong to a part. Absent: all of them. */
export function rowsOfSplit(
  { rows }: Pick<Dataset, 'rows'>,
  split?: Split,
): { begin: number; count: number } {
  // Datasets from before there were splits are training data throughout.
  return { begin: 0, count: split === undefined || split === 'train' ? rows : 0 };
}

/** A row of a dataset from before there were mappings: prompt and answer as they are trained. */
function storedRow(text: string): Row {
  return verbatimRowSchema.parse({ kind: 'verbatim', ...(JSON.parse(text) as object) });
}
