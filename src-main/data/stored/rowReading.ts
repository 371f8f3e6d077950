import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { unusedRowSchema, type UnusedRow } from '../../contract/datasets/unusable.ts';
import type { Dataset } from '../../contract/entities.ts';
import { isObject } from '../mapping/fields.ts';
import { parseJson } from '../readers/parseRow.ts';
import { applyEdit, readEdits, type Edits, type RowEdit } from './editLayer.ts';
import { factsPath, FactsWriter, isUsable, openFacts } from './factsFile.ts';
import { factsOf } from './rowFacts.ts';
import type { ChangedRows, PlacedFacts } from './rowTally.ts';
import { readLinesAt, readLinesOf, type SourceLine } from './sourceIndex.ts';
import { storedFiles } from './storedFiles.ts';

/** All rows of a dataset's copy. */
export function sourceRowCount({ stretches }: Pick<Dataset, 'stretches'>): number {
  return stretches.reduce((sum, { sourceRows }) => sum + sourceRows, 0);
}

/** The name of a file that rows came from. */
export function fileName({ files }: Pick<Dataset, 'files'>, file: number): string {
  return files[file]?.name ?? `file ${file + 1}`;
}

/** What a dataset's rows are read as. */
export type Reading = Pick<Dataset, 'file' | 'files' | 'inPlace' | 'contentHash' | 'mappings' | 'format'>;

/**
 * Finds the facts of all rows of a copy out: the one thing that reads all of it.
 * @param path of a new file
 * @throws the signal's reason
 */
export async function writeFacts(
  folder: string,
  dataset: Reading & Pick<Dataset, 'stretches'>,
  path: string,
  signal: AbortSignal,
  onRows: (done: number, total: number) => void,
): Promise<void> {
  const files = storedFiles(folder, dataset);
  const total = sourceRowCount(dataset);
  const facts = new FactsWriter(path);
  try {
    for await (const line of readLinesAt(files, { begin: 0, end: total })) {
      if (line.index % 1024 === 0) {
        signal.throwIfAborted();
        onRows(line.index, total);
      }
      const { facts: found, place } = factsOfLine(dataset, line);
      facts.add(found, place);
    }
    for await (const row of readBroken(files.broken)) facts.addBroken(row, row);
    facts.finish();
    onRows(total, total);
  } finally {
    facts.close();
  }
}

/** The facts of a row of the copy, as it was edited. */
export function factsOfLine(dataset: Reading, line: SourceLine, edit?: RowEdit): PlacedFacts {
  const value = applyEdit(parseJson(line.text), edit);
  return {
    facts: factsOf(isObject(value) ? value : {}, dataset.mappings, dataset.format),
    place: { file: fileName(dataset, line.file), number: line.number },
  };
}

/** The rows that edits make others of: those alone are read. */
export async function changedRows(folder: string, dataset: Reading, edits: Edits): Promise<ChangedRows> {
  const changed = new Map<number, PlacedFacts | null>();
  const read: number[] = [];
  for (const [index, { excluded, values }] of edits)
    if (excluded) changed.set(index, null);
    else if (values) read.push(index);
  const lines = readLinesOf(
    storedFiles(folder, dataset),
    read.sort((a, b) => a - b),
  );
  for await (const line of lines) changed.set(line.index, factsOfLine(dataset, line, edits.get(line.index)));
  return changed;
}

/**
 * Numbers of a dataset's usable rows in their order, by the facts that are kept.
 * @returns null where none are kept that fit
 */
export async function factsColumn(
  folder: string,
  dataset: Reading & Pick<Dataset, 'rows' | 'edits'>,
  column: 'key' | 'content',
): Promise<Float64Array | null> {
  const facts = openFacts(factsPath(folder, dataset));
  if (!facts) return null;
  try {
    const changed = await changedRows(folder, dataset, readEdits(folder, dataset.edits?.hash ?? null));
    const order = [...changed.keys()].sort((a, b) => a - b);
    const numbers = new Float64Array(dataset.rows);
    let [used, next] = [0, 0];
    for await (const { begin, count, code, ...columns } of facts.blocks())
      for (let i = 0; i < count; i++) {
        if (order[next] === begin + i) {
          const row = changed.get(order[next++]!);
          if (row && !row.facts.unusable) numbers[used++] = row.facts[column];
        } else if (isUsable(code[i]!)) numbers[used++] = columns[column][i]!;
      }
    // Imported by a studio that used other rows of the same file.
    return used === dataset.rows ? numbers : null;
  } finally {
    facts.close();
  }
}

/** Rows that were no rows, in the order of their files. */
export async function* readBroken(path: string): AsyncGenerator<UnusedRow> {
  if (!existsSync(path)) return;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity }))
    if (line !== '') yield unusedRowSchema.parse(JSON.parse(line));
}
