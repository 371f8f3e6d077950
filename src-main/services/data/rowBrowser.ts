import type { DatasetRow, Inspection } from '../../contract/datasets/datasetProcedures.ts';
import type { Mapping } from '../../contract/datasets/mapping.ts';
import type { UnusedRow } from '../../contract/datasets/unusable.ts';
import type { Dataset } from '../../contract/entities.ts';
import type { Split } from '../../contract/rows.ts';
import { planImport, type PlanOptions } from '../../data/importPlan.ts';
import { isObject, type SourceValue } from '../../data/mapping/fields.ts';
import { mapRow } from '../../data/mapping/mapRow.ts';
import { parseJson } from '../../data/readers/parseRow.ts';
import { readRows } from '../../data/readRows.ts';
import { applyEdit, readEdits } from '../../data/stored/editLayer.ts';
import { fileName, readBroken } from '../../data/stored/rowReading.ts';
import { UnusedReasons } from '../../data/stored/unusedReasons.ts';
import {
  nthKept,
  readLinesAt,
  readLinesOf,
  readSkipped,
  type SourceLine,
} from '../../data/stored/sourceIndex.ts';
import { checkInPlace, storedFiles } from '../../data/stored/storedFiles.ts';

interface Range {
  offset: number;
  limit: number;
}

export type WhichRows = 'all' | 'unused' | 'changed';

/** Which rows, and how they are read. */
export interface BrowsedRows extends Range {
  split?: Split | undefined;
  which: WhichRows;
  /** These alone, by their numbers among the usable rows, or among all. */
  usable?: readonly number[] | undefined;
  indices?: readonly number[] | undefined;
  mappings?: readonly Mapping[] | undefined;
}

/** Rows of a dataset as they are shown: as the file has them, and what they say. */
export async function browseRows(
  folder: string,
  dataset: Dataset,
  { offset, limit, split, which, usable, indices, mappings = dataset.mappings }: BrowsedRows,
): Promise<{ total: number; rows: DatasetRow[] }> {
  await checkInPlace(dataset);
  if (dataset.mappings.length === 0)
    return browseOld(folder, dataset, { offset, limit, split, named: usable ?? indices });
  const edits = readEdits(folder, dataset.edits?.hash ?? null);
  const skipped = () => readSkipped(storedFiles(folder, dataset).skipped);
  const named = (): Uint32Array | null => {
    if (indices) return Uint32Array.from(indices);
    if (!usable) return null;
    const left = skipped();
    return Uint32Array.from(usable, (n) => nthKept(left, n));
  };
  const chosen =
    named() ??
    (which === 'all'
      ? null
      : which === 'unused'
        ? skipped()
        : Uint32Array.from([...edits.keys()].sort(byNumber)));
  const ranges = sourceRanges(dataset, split);
  const shown = (line: SourceLine) => shownRow({ ...dataset, mappings }, line, edits.get(line.index));
  const rows: DatasetRow[] = [];
  if (chosen) {
    const inPart = chosen.filter((index) => ranges.some(({ begin, end }) => index >= begin && index < end));
    for await (const line of readLinesOf(
      storedFiles(folder, dataset),
      inPart.subarray(offset, offset + limit),
    ))
      rows.push(shown(line));
    return { total: inPart.length, rows };
  }
  let skip = offset;
  for (const { begin, end } of ranges) {
    const first = Math.min(end, begin + skip);
    skip -= first - begin;
    for await (const line of linesAt(folder, dataset, first, Math.min(end, first + limit - rows.length)))
      rows.push(shown(line));
  }
  return { total: ranges.reduce((sum, { begin, end }) => sum + end - begin, 0), rows };
}

const byNumber = (a: number, b: number) => a - b;

function linesAt(folder: string, dataset: Dataset, begin: number, end: number) {
  return readLinesAt(storedFiles(folder, dataset), { begin, end });
}

function sourceRanges({ stretches }: Dataset, split: Split | undefined): { begin: number; end: number }[] {
  let end = 0;
  return stretches.flatMap((stretch) => {
    const begin = end;
    end += stretch.sourceRows;
    return split === undefined || stretch.split === split ? [{ begin, end }] : [];
  });
}

function splitAt(dataset: Pick<Dataset, 'stretches'>, index: number): Split {
  let end = 0;
  return dataset.stretches.find(({ sourceRows }) => index < (end += sourceRows))?.split ?? 'train';
}

function shownRow(
  dataset: Omit<Dataset, 'mappings'> & { mappings: readonly Mapping[] },
  { index, file, number, text }: SourceLine,
  edit:
    | { values?: SourceValue | undefined; excluded?: true | undefined; tags?: string[] | undefined }
    | undefined,
): DatasetRow {
  const original = parseJson(text);
  const raw = applyEdit(original, edit) as SourceValue;
  const mapped = mapRow(raw, dataset.mappings);
  return {
    index,
    file: fileName(dataset, file),
    number,
    split: splitAt(dataset, index),
    raw,
    row: mapped.row,
    unusable: mapped.unusable,
    isExcluded: edit?.excluded === true,
    original: edit?.values && isObject(original) ? changedFields(original, edit.values) : null,
    tags: edit?.tags ?? [],
  };
}

function changedFields(original: SourceValue, values: SourceValue): SourceValue {
  return Object.fromEntries(Object.keys(values).map((column) => [column, original[column] ?? null]));
}

/** Rows of a dataset from before there were mappings: what the file has is what is trained. */
async function browseOld(
  folder: string,
  dataset: Dataset,
  { named, ...range }: Range & { split?: Split | undefined; named: readonly number[] | undefined },
): Promise<{ total: number; rows: DatasetRow[] }> {
  const rows: DatasetRow[] = [];
  const isPart = range.split === undefined || range.split === 'train';
  const ranges = named
    ? named.slice(range.offset, range.offset + range.limit).map((offset) => ({ offset, limit: 1 }))
    : [range];
  for (const one of ranges)
    for await (const { index, row } of readRows(folder, dataset, one))
      rows.push({
        index,
        file: dataset.sourcePath,
        number: index + 1,
        split: 'train',
        raw: row.kind === 'verbatim' ? { prompt: row.prompt, answer: row.answer } : null,
        row,
        unusable: null,
        isExcluded: false,
        original: null,
        tags: [],
      });
  return { total: named ? named.length : isPart ? dataset.rows : 0, rows };
}

/** So long a search looks at rows before it tells what it found. */
const searchMs = 1000;

/** Rows from `from` on with a text in one of their fields; `next`: where to go on, null at the end. */
export async function findRows(
  folder: string,
  dataset: Dataset,
  { text, from, limit }: { text: string; from: number; limit: number },
): Promise<{ indices: number[]; next: number | null }> {
  await checkInPlace(dataset);
  const wanted = text.toLowerCase();
  const until = Date.now() + searchMs;
  const indices: number[] = [];
  const isOver = () => indices.length === limit || Date.now() > until;
  if (dataset.mappings.length === 0) {
    for await (const { index, row } of readRows(folder, dataset, { offset: from })) {
      if (holds(row, wanted)) indices.push(index);
      if (isOver()) return { indices, next: index + 1 < dataset.rows ? index + 1 : null };
    }
    return { indices, next: null };
  }
  const edits = readEdits(folder, dataset.edits?.hash ?? null);
  const end = sourceRanges(dataset, undefined).at(-1)?.end ?? 0;
  for await (const { index, text: line } of linesAt(folder, dataset, from, end)) {
    if (holds(applyEdit(parseJson(line), edits.get(index)), wanted)) indices.push(index);
    if (isOver()) return { indices, next: index + 1 < end ? index + 1 : null };
  }
  return { indices, next: null };
}

/** Whether a text stands somewhere in a value. @param wanted in lower case */
function holds(value: unknown, wanted: string): boolean {
  if (typeof value === 'string') return value.toLowerCase().includes(wanted);
  if (typeof value === 'number') return String(value).includes(wanted);
  return (
    typeof value === 'object' && value !== null && Object.values(value).some((one) => holds(one, wanted))
  );
}

const shownCharacters = 300;

/** Rows that were set aside: those that were no rows, and those that the mapping cannot read. */
export async function unusedRows(
  folder: string,
  dataset: Dataset,
  { offset, limit }: Range,
): Promise<{ total: number; rows: UnusedRow[] }> {
  const rows: UnusedRow[] = [];
  if (dataset.mappings.length === 0) return { total: 0, rows };
  let seen = 0;
  for await (const row of readBroken(storedFiles(folder, dataset).broken)) {
    if (seen++ < offset) continue;
    if (rows.length === limit) break;
    rows.push(row);
  }
  if (rows.length < limit) {
    await checkInPlace(dataset);
    const edits = readEdits(folder, dataset.edits?.hash ?? null);
    const skipped = readSkipped(storedFiles(folder, dataset).skipped);
    const refused = skipped.filter((index) => edits.get(index)?.excluded !== true);
    const from = Math.max(0, offset - seen);
    const wanted = refused.subarray(from, from + limit - rows.length);
    for await (const line of readLinesOf(storedFiles(folder, dataset), wanted)) {
      const { file, number, unusable } = shownRow(dataset, line, edits.get(line.index));
      if (unusable) rows.push({ ...unusable, file, number, text: line.text.slice(0, shownCharacters) });
    }
  }
  return { total: dataset.unused.rows, rows };
}

/** What files hold, before anything is imported. @throws StudioError as an import does */
export async function inspectFiles(options: PlanOptions, limit: number): Promise<Inspection> {
  const plan = await planImport({ ...options, isLook: true });
  const { mappings, format, reason } = plan.detected;
  const unused = new UnusedReasons();
  const rows: Inspection['rows'] = [];
  let sampledRows = 0;
  for (const { name: file, sample } of plan.streams)
    for (const { number, value, broken } of sample) {
      sampledRows++;
      const mapped = broken ? { row: null, unusable: broken } : mapRow(value, mappings);
      if (mapped.unusable) unused.add(mapped.unusable, { file, number });
      if (rows.length === limit) continue;
      rows.push({ file, number, raw: value, row: mapped.row, unusable: mapped.unusable });
    }
  return {
    files: plan.streams.map(({ name, split, reason: why }) => ({ name, split, reason: why })),
    skippedFiles: plan.found.skipped,
    sizeBytes: plan.found.bytes,
    configs: plan.found.configs,
    format,
    mappings,
    isMappedByHand: plan.isMappedByHand,
    reason,
    columns: plan.columns,
    unreadColumns: plan.unreadColumns,
    sampledRows,
    unused: unused.counts(),
    rows,
  };
}
