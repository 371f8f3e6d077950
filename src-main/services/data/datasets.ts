import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  datasetSchema,
  type Dataset,
  type DatasetFormat,
  type Example,
  type SharedRows,
} from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { importDataset } from '../../data/importDataset.ts';
import { readRows, type NumberedRow, type RowRange } from '../../data/readRows.ts';
import { exampleOf } from '../../data/rowExample.ts';
import { datasetFiles, datasets } from '../../store/library.ts';
import { listAllRuns } from '../../store/runs.ts';
import { typedPath } from '../homePaths.ts';
import { withProgress } from '../progress.ts';
import { benchmarkRows, sharedRows } from './sharedRows.ts';
import { freeName, missing, newId, type ServiceContext } from '../context.ts';

export interface DatasetService {
  list(): Dataset[];
  get(reference: string): Dataset;
  /** A name or id of the library, or a file, which is then imported. */
  getOrAdd(reference: string): Promise<Dataset>;
  /** @param options.sourcePath where it came from, where that is not `path` */
  add(options: {
    path: string;
    name?: string | undefined;
    format: DatasetFormat | 'auto';
    /** A label of TextDecoder; absent: UTF-8, or what the byte order mark says. */
    encoding?: string | undefined;
    sourcePath?: string;
  }): Promise<Dataset>;
  /** Calls it otherwise. @throws StudioError name_taken */
  rename(reference: string, name: string): Dataset;
  /** Its usable rows. */
  read(dataset: Dataset, range?: RowRange): AsyncIterable<NumberedRow>;
  /** Its rows that stand in benchmarks' test sets or in other datasets. */
  shared(reference: string): Promise<SharedRows[]>;
  rows(reference: string, range: { offset: number; limit: number }): Promise<Example[]>;
  /** Removes it; for a minute it can be restored. @throws StudioError in_use where runs need it */
  remove(reference: string): void;
  /**
   * Brings back a dataset that was removed less than a minute ago, under another name where its own was taken
   * meanwhile.
   */
  restore(id: string): Dataset;
  /** Deletes copies that a process left behind that died while it imported. */
  recover(): void;
}

/** A copy's name: what it holds; or that of an import under way. */
const ownFile = /^([0-9a-f]{64}\.|\.import\.)/;

function nameTaken(name: string): StudioError {
  return new StudioError('name_taken', `There is already a dataset "${name}".`, 'Choose another name.');
}

export function createDatasetService(context: ServiceContext): DatasetService {
  const { paths, database, emit } = context;

  const get = (reference: string): Dataset => {
    const found = datasets.find(database, reference);
    if (!found)
      throw missing(
        'dataset',
        reference,
        datasets.list(database).map(({ name }) => name),
      );
    return found;
  };

  /** Copies of imports that are not entered yet. */
  const arriving: string[] = [];

  /**
   * Deletes a copy that no dataset has, neither in the library or its trash nor on its way there.
   * @param removed id of a dataset that does not count: it goes as well
   */
  const deleteUnused = (copy: string, removed?: string) => {
    const isUsed = datasetFiles(database).some(({ id, file }) => file === copy && id !== removed);
    if (!isUsed && !arriving.includes(copy)) rmSync(join(paths.datasets, copy), { force: true });
  };

  const isTaken = (name: string) => datasets.list(database).some((other) => other.name === name);

  const add: DatasetService['add'] = async ({ path: given, name, format, encoding, sourcePath: stated }) => {
    const path = typedPath(given);
    const sourcePath = stated ?? path;
    const checkName = () => {
      if (name !== undefined && isTaken(name)) throw nameTaken(name);
    };
    checkName();
    context.writable();
    const id = newId();
    const reading = 'Reading rows';
    const imported = await withProgress(context, `dataset ${id}`, reading, (report) =>
      importDataset({
        path,
        format,
        encoding,
        folder: paths.datasets,
        onProgress: (rows) => report(reading, rows),
      }),
    );
    arriving.push(imported.file);
    try {
      const rows = await benchmarkRows(context, { name: basename(path), ...imported });
      // Others may have been entered meanwhile: from here on nothing waits.
      checkName();
      const same = datasets
        .list(database)
        .find((other) => other.contentHash === imported.contentHash && other.sourcePath === sourcePath);
      if (same && name === undefined) return same;
      const wish = name ?? basename(sourcePath).replace(/\.(jsonl?|json)$/i, '');
      const dataset: Dataset = {
        id,
        name: freeName(wish, isTaken),
        sourcePath,
        ...imported,
        benchmarkRows: rows,
        createdAt: new Date().toISOString(),
      };
      datasets.insert(context.writable(), dataset);
      emit({ type: 'datasets.changed' });
      return dataset;
    } finally {
      arriving.splice(arriving.indexOf(imported.file), 1);
      deleteUnused(imported.file);
    }
  };

  context.trash.ofKind('datasets', (entity) => {
    const dataset = datasetSchema.parse(entity);
    deleteUnused(dataset.file, dataset.id);
  });

  return {
    list: () => datasets.list(database),
    get,
    getOrAdd: async (reference) =>
      datasets.find(database, reference) ??
      (existsSync(typedPath(reference)) ? add({ path: reference, format: 'auto' }) : get(reference)),
    add,
    rename(reference, name) {
      const dataset = get(reference);
      if (datasets.list(database).some((other) => other.id !== dataset.id && other.name === name))
        throw nameTaken(name);
      const renamed = { ...dataset, name };
      datasets.update(context.writable(), renamed);
      emit({ type: 'datasets.changed' });
      return renamed;
    },
    read: (dataset, range) => readRows(paths.datasets, dataset, range),
    shared: (reference) => sharedRows(context, get(reference)),
    async rows(reference, range) {
      const result: Example[] = [];
      for await (const { row } of readRows(paths.datasets, get(reference), range))
        result.push(exampleOf(row));
      return result;
    },
    remove(reference) {
      const dataset = get(reference);
      const used = listAllRuns(database).filter((run) => run.datasetId === dataset.id);
      if (used.length > 0)
        throw new StudioError(
          'in_use',
          `The dataset "${dataset.name}" is used by ${used.length} runs, for example "${used[0]!.name}".`,
          'Remove these runs first.',
        );
      context.trash.put('datasets', dataset.id);
      emit({ type: 'datasets.changed' });
    },
    restore(id) {
      context.trash.restore('datasets', id, isTaken);
      emit({ type: 'datasets.changed' });
      return get(id);
    },
    recover() {
      if (!existsSync(paths.datasets)) return;
      const needed = datasetFiles(database).map((dataset) => dataset.file);
      for (const name of readdirSync(paths.datasets))
        if (ownFile.test(name) && !needed.includes(name)) rmSync(join(paths.datasets, name), { force: true });
    },
  };
}

/** What callers ask of them. */
export const datasetHandlers = (datasets: DatasetService) =>
  ({
    'datasets.list': () => datasets.list(),
    'datasets.get': ({ dataset }) => datasets.get(dataset),
    'datasets.add': (input) => datasets.add(input),
    'datasets.rename': ({ dataset, name }) => datasets.rename(dataset, name),
    'datasets.rows': ({ dataset, ...range }) => datasets.rows(dataset, range),
    'datasets.shared': ({ dataset }) => datasets.shared(dataset),
    'datasets.restore': ({ dataset }) => datasets.restore(dataset),
    'datasets.remove': ({ dataset }) => {
      datasets.remove(dataset);
      return {};
    },
  }) satisfies Partial<ProcedureHandlers>;
