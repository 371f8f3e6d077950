import { randomUUID } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RowChange } from '../../contract/datasets/datasetProcedures.ts';
import type { Mapping } from '../../contract/datasets/mapping.ts';
import type { Dataset, DatasetFormat } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { Split } from '../../contract/rows.ts';
import { columnUses } from '../../contract/datasets/mapping.ts';
import { editsHash, readEdits, writeEdits, type Edits, type RowEdit } from '../../data/stored/editLayer.ts';
import { factsPath, openFacts } from '../../data/stored/factsFile.ts';
import { changedRows, factsOfLine, sourceRowCount, writeFacts } from '../../data/stored/rowReading.ts';
import { rowIdentity, writeSkipped } from '../../data/stored/rowIdentity.ts';
import { tallyOf, type Tally } from '../../data/stored/rowTally.ts';
import { place, readLinesOf } from '../../data/stored/sourceIndex.ts';
import { checkInPlace, storedFiles } from '../../data/stored/storedFiles.ts';
import { benchmarkRows } from './sharedRows.ts';
import type { ServiceContext } from '../context.ts';

/** What is to become of a dataset's rows; what is absent stays. */
export interface Reshaping {
  mappings?: readonly Mapping[] | undefined;
  format?: DatasetFormat | undefined;
  relabel?: { from?: Split | undefined; as: Split } | undefined;
  edits?: { layer: Edits; history: Dataset['editHistory'] } | undefined;
}

/**
 * A dataset whose rows are read otherwise: its copy stays, and what follows from it is found out anew.
 * @throws StudioError dataset_invalid where no row could be used any more; usage for a dataset without a mapping
 */
export async function reshape(
  context: ServiceContext,
  dataset: Dataset,
  change: Reshaping,
  { signal, reserve }: { signal: AbortSignal; reserve(hashes: readonly string[]): void },
): Promise<Dataset> {
  const { paths } = context;
  if (dataset.sourceHash === null)
    throw new StudioError(
      'usage',
      `The dataset "${dataset.name}" was imported by an older studio, which kept its prompts and answers alone.`,
      `Import it again from ${dataset.sourcePath}.`,
    );
  await checkInPlace(dataset);
  const mappings = [...(change.mappings ?? dataset.mappings)];
  const format = change.format ?? dataset.format;
  const edits = change.edits?.layer ?? readEdits(paths.datasets, dataset.edits?.hash ?? null);
  const { relabel } = change;
  const isMeant = (split: Split) => relabel && (relabel.from === undefined || relabel.from === split);
  const relabeled = <T extends { split: Split }>(one: T): T =>
    isMeant(one.split) ? { ...one, split: relabel!.as } : one;
  const stretches = dataset.stretches.map(relabeled);
  const tally = await countRows(context, { ...dataset, mappings, format, stretches }, edits, signal);
  if (tally.rows === 0)
    throw new StudioError(
      'dataset_invalid',
      `So no row of the dataset "${dataset.name}" could be used.`,
      'Choose the fields otherwise, or take some of the edits back.',
    );
  const { sourceHash } = dataset;
  const hash = editsHash(edits);
  const contentHash = rowIdentity({ sourceHash, mappings, stretches: tally.stretches, edits: hash });
  reserve(hash === null ? [contentHash] : [contentHash, hash]);
  writeEdits(paths.datasets, edits);
  writeSkipped(paths.datasets, contentHash, tally.skipped);
  const all = [...edits.values()];
  const read = new Set(mappings.flatMap((one) => columnUses(one).map(({ column }) => column)));
  const reshaped: Dataset = {
    ...dataset,
    mappings,
    format,
    ...(change.mappings && { isMappedByHand: true, reason: 'The fields were named.' }),
    unreadColumns: dataset.columns.filter(
      (column) => !read.has(column) && ![...read].some((one) => one.startsWith(`${column}.`)),
    ),
    contentHash,
    rows: tally.rows,
    promptRows: tally.promptRows,
    stretches: tally.stretches,
    files: dataset.files.map(relabeled),
    unused: tally.unused,
    statistics: tally.statistics,
    editHistory: change.edits?.history ?? dataset.editHistory,
    edits:
      hash === null
        ? null
        : {
            hash,
            edited: all.filter(({ values }) => values).length,
            excluded: all.filter(({ excluded }) => excluded).length,
            tagged: all.filter(({ tags }) => tags).length,
          },
  };
  return { ...reshaped, benchmarkRows: await benchmarkRows(context, reshaped) };
}

/**
 * Counts a dataset's rows. Only where nobody read its copy by these mappings yet, all of it is read.
 * @throws the signal's reason
 */
async function countRows(
  { paths, emit }: ServiceContext,
  dataset: Dataset,
  edits: Edits,
  signal: AbortSignal,
): Promise<Tally> {
  const folder = paths.datasets;
  const path = factsPath(folder, dataset);
  const temporary = join(folder, `.import.${randomUUID()}.facts`);
  try {
    const isKnown = existsSync(path);
    if (!isKnown)
      await writeFacts(folder, dataset, temporary, signal, (done, total) =>
        emit({ type: 'progress', task: `dataset ${dataset.id}`, label: 'Reading rows', done, total }),
      );
    const facts = openFacts(isKnown ? path : temporary)!;
    try {
      const tally = await tallyOf(facts, {
        stretches: dataset.stretches,
        changed: await changedRows(folder, dataset, edits),
        async look(index) {
          for await (const line of readLinesOf(storedFiles(folder, dataset), [index]))
            return factsOfLine(dataset, line);
          throw new Error(`the dataset ${dataset.name} has no row ${index}`);
        },
      });
      if (!isKnown && tally.rows > 0) place(temporary, path);
      return tally;
    } finally {
      facts.close();
    }
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Edits with some more. @throws StudioError not_found for a row that the dataset does not have */
export function withChanges(dataset: Dataset, edits: Edits, changes: readonly RowChange[]): Edits {
  const next = new Map(edits);
  const count = sourceRowCount(dataset);
  for (const { index, values, isExcluded, tags } of changes) {
    if (index >= count)
      throw new StudioError(
        'not_found',
        `The dataset "${dataset.name}" has no row ${index}; its ${count} rows are counted from 0.`,
        'Choose another row.',
      );
    const { values: before, excluded, tags: known } = next.get(index) ?? {};
    const edit: RowEdit = {};
    const nextValues = values === undefined ? before : values === null ? undefined : { ...before, ...values };
    if (nextValues && Object.keys(nextValues).length > 0) edit.values = nextValues;
    if (isExcluded ?? excluded) edit.excluded = true;
    const nextTags = [...new Set(tags ?? known ?? [])];
    if (nextTags.length > 0) edit.tags = nextTags;
    if (Object.keys(edit).length > 0) next.set(index, edit);
    else next.delete(index);
  }
  return next;
}
