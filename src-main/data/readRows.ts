import { join } from 'node:path';
import type { Dataset } from '../contract/entities.ts';
import { StudioError } from '../contract/errors.ts';
import { rangesOf } from '../contract/datasets/parts.ts';
import { verbatimRowSchema, type Row, type Split } from '../contract/rows.ts';
import { unusableText } from '../contract/datasets/unusable.ts';
import { applyEdit, readEdits } from './stored/editLayer.ts';
import { isObject, type SourceValue } from './mapping/fields.ts';
import { mapRow } from './mapping/mapRow.ts';
import { jsonRows } from './readers/jsonRows.ts';
import { parseJson } from './readers/parseRow.ts';
import { fileSource } from './readers/source.ts';
import { checkInPlace, storedFiles } from './stored/storedFiles.ts';
import { countBelow, nthKept, readLinesAt, readSkipped } from './stored/sourceIndex.ts';

/** A usable row of a dataset. */
export interface NumberedRow {
  /** 0-based, among all usable rows of the dataset, whatever part of them is read. */
  index: number;
  row: Row;
  /** As the file has it, with edits; null in datasets from before fields were kept. */
  source: { value: SourceValue; file: number; number: number } | null;
}

/** What reading needs to know of a dataset. */
export type StoredDataset = Pick<
  Dataset,
  'name' | 'file' | 'inPlace' | 'rows' | 'contentHash' | 'mappings' | 'stretches' | 'edits'
>;

export interface RowRange {
  /** Rows of this part alone; absent: of all parts. */
  split?: Split | undefined;
  /** Rows of the split (or of all) to leave out at the begin. */
  offset?: number;
  limit?: number;
}

/**
 * Usable rows of a dataset in their order: the one way in which rows reach tokenizing, previews, statistics and
 * scoring. Rows that were set aside or excluded do not come; edited ones come as they were edited.
 * @param folder where the library keeps its copies
 * @throws StudioError dataset_invalid or not_found where a file that is used in place has changed or is gone
 */
export async function* readRows(
  folder: string,
  dataset: StoredDataset,
  { split, offset = 0, limit = Infinity }: RowRange = {},
): AsyncGenerator<NumberedRow> {
  await checkInPlace(dataset);
  let [skip, left] = [offset, limit];
  for (const { begin, count } of rangesOf(dataset, split)) {
    const first = begin + skip;
    const end = Math.min(begin + count, first + left);
    skip = Math.max(0, skip - count);
    if (first >= end) continue;
    left -= end - first;
    yield* dataset.mappings.length === 0
      ? readOldRows(folder, dataset, first, end)
      : readMapped(folder, dataset, first, end);
  }
}

async function* readMapped(
  folder: string,
  dataset: StoredDataset,
  first: number,
  end: number,
): AsyncGenerator<NumberedRow> {
  const files = storedFiles(folder, dataset);
  const skipped = readSkipped(files.skipped);
  const edits = readEdits(folder, dataset.edits?.hash ?? null);
  const range = { begin: nthKept(skipped, first), end: nthKept(skipped, end - 1) + 1 };
  let next = countBelow(skipped, range.begin);
  let index = first;
  for await (const line of readLinesAt(files, range)) {
    if (skipped[next] === line.index) {
      next++;
      continue;
    }
    const value = applyEdit(parseJson(line.text), edits.get(line.index));
    const { row, unusable } = isObject(value)
      ? mapRow(value, dataset.mappings)
      : { row: null, unusable: { reason: 'not_object' as const, column: null, detail: null } };
    if (!row)
      throw new StudioError(
        'dataset_invalid',
        `Row ${line.index + 1} of the dataset "${dataset.name}" could be used when it was imported, and ${unusableText(unusable)}.`,
        'Import it again: its copy was changed, or the studio reads such rows otherwise now.',
      );
    const { file, number } = line;
    yield { index: index++, row, source: { value: value as SourceValue, file, number } };
  }
}

/** Rows of a dataset from before there were mappings: prompt and answer as they are trained. */
async function* readOldRows(
  folder: string,
  { file }: StoredDataset,
  first: number,
  end: number,
): AsyncGenerator<NumberedRow> {
  let index = 0;
  const source = fileSource(join(folder, file), file);
  for await (const { value } of jsonRows(source, { kind: 'lines', fields: [] }, null, {})) {
    if (index >= first)
      yield { index, row: verbatimRowSchema.parse({ kind: 'verbatim', ...value }), source: null };
    if (++index >= end) return;
  }
}
