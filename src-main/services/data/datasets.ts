import { existsSync, readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { datasetSchema, type Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { snapshotDatasets } from '../../contract/mixing/mixes.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { importDataset } from '../../data/importDataset.ts';
import { readRows } from '../../data/readRows.ts';
import { readEdits } from '../../data/stored/editLayer.ts';
import { storedDatasets, datasets } from '../../store/library.ts';
import { listAllMixes } from '../../store/mixes.ts';
import { listAllRuns } from '../../store/runs.ts';
import { byteProgress, endProgress } from '../progress.ts';
import { freeName, missing, newId, type ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { checkFreeSpace } from '../machine/disk.ts';
import { arrivedFiles, discardArrived } from './arrivedFiles.ts';
import type { DatasetService, InspectOptions } from './datasetService.ts';
import { reshape, withChanges, type Reshaping } from './reshape.ts';
import { browseRows, findRows, inspectFiles, unusedRows } from './rowBrowser.ts';
import { benchmarkRows, sharedRows, testSetOf } from './sharedRows.ts';

/** A file of a dataset, by the hash that it is named by; or one of an import under way. */
const ownFile = /^(?:([0-9a-f]{64})\.|\.import\.)/;

function nameTaken(name: string): StudioError {
  return new StudioError('name_taken', `There is already a dataset "${name}".`, 'Choose another name.');
}

/** Hashes by which a dataset's files are named. */
function hashesOf({
  file,
  contentHash,
  edits,
  editHistory,
}: Pick<Dataset, 'file' | 'contentHash' | 'edits' | 'editHistory'>): string[] {
  return [file.replace(/\.jsonl$/, ''), contentHash, edits?.hash, ...editHistory].filter(
    (hash) => typeof hash === 'string',
  );
}

/** The name that files suggest. */
function wishedName(paths: readonly string[]): string {
  const name = basename(paths[0]!).replace(
    /(\.(jsonl?|json|ndjson|csv|tsv|parquet|txt|md|gz|zst|zip))+$/i,
    '',
  );
  return name.trim().slice(0, 100) || 'dataset';
}

export function createDatasetService(context: ServiceContext): DatasetService {
  const { paths, database, emit } = context;
  const never = new AbortController().signal;

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

  /** Hashes that name files of imports and changes that are not entered yet. */
  const arriving: string[] = [];

  /**
   * Deletes files that no dataset has, neither in the library or its trash nor on its way there.
   * @param removed id of a dataset that does not count: it goes as well
   */
  const deleteUnused = (removed?: string) => {
    if (!existsSync(paths.datasets)) return;
    const kept = storedDatasets(database).filter(({ id }) => id !== removed);
    const needed = new Set([...kept.flatMap(hashesOf), ...arriving]);
    for (const name of readdirSync(paths.datasets)) {
      const hash = ownFile.exec(name)?.[1];
      if (hash !== undefined && !needed.has(hash)) rmSync(join(paths.datasets, name), { force: true });
    }
  };

  /** Keeps the files of hashes that are reserved until the work has ended. */
  const keeping = async <T>(
    work: (reserve: (hashes: readonly string[]) => void) => Promise<T>,
  ): Promise<T> => {
    const mine: string[] = [];
    try {
      return await work((hashes) => {
        for (const hash of hashes) {
          mine.push(hash);
          arriving.push(hash);
        }
      });
    } finally {
      for (const hash of mine) arriving.splice(arriving.indexOf(hash), 1);
      deleteUnused();
    }
  };

  const isTaken = (name: string) => datasets.list(database).some((other) => other.name === name);

  const savedMappings = (columns: readonly string[]) => {
    const shape = JSON.stringify([...columns].sort());
    const same = datasets
      .list(database)
      .filter((one) => one.isMappedByHand && JSON.stringify([...one.columns].sort()) === shape)
      .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    return same[0]?.mappings ?? null;
  };

  const planned = (options: Omit<InspectOptions, 'limit'>) => ({
    ...options,
    paths: options.paths.flatMap((path) => arrivedFiles(context, path)?.paths ?? [typedPath(path)]),
    config: options.config ?? options.paths.map((path) => arrivedFiles(context, path)?.config).find(Boolean),
    format: options.format ?? ('auto' as const),
    savedMappings,
    testSetOf,
  });

  const add: DatasetService['add'] = async (options, signal = never) => {
    const { path, name } = options;
    const given = options.paths ?? (path === undefined ? [] : [path]);
    if (given.length === 0)
      throw new StudioError('usage', 'No file is named.', 'Name at least one file or folder.');
    const arrived = given.flatMap((one) => arrivedFiles(context, one) ?? []);
    if (arrived.length > 0 && options.inPlace)
      throw new StudioError(
        'usage',
        'Files that were sent by a browser or came from the Hub cannot be read where they lie: they are not kept.',
        'Leave out that the file is used in place, or type its path on the studio’s machine.',
      );
    const wanted = planned({ ...options, paths: given });
    const sourcePath = given
      .flatMap((one) => arrivedFiles(context, one)?.source ?? typedPath(one))
      .join(', ');
    const checkName = () => {
      if (name !== undefined && isTaken(name)) throw nameTaken(name);
    };
    checkName();
    context.writable();
    const id = newId();
    const task = `dataset ${id}`;
    const onProgress = byteProgress(context, task, `Importing ${basename(wanted.paths[0]!)}`);
    try {
      const added = await keeping(async (reserve) => {
        const { imported } = await importDataset({
          ...wanted,
          folder: paths.datasets,
          // A small file finds room on a full disk, too.
          checkSpace: (bytes) =>
            checkFreeSpace(paths.datasets, bytes, 'The copy of these files', Math.min(bytes, 200e6)),
          strict: options.strict,
          inPlace: options.inPlace,
          reserve,
          signal,
          onProgress,
        });
        const rows = await benchmarkRows(context, { name: sourcePath, ...imported });
        // Others may have been entered meanwhile: from here on nothing waits.
        checkName();
        const same = datasets
          .list(database)
          .find((other) => other.contentHash === imported.contentHash && other.sourcePath === sourcePath);
        if (same && name === undefined) return same;
        const dataset: Dataset = {
          id,
          name: freeName(name ?? arrived[0]?.wish ?? wishedName(wanted.paths), isTaken),
          sourcePath,
          ...imported,
          benchmarkRows: rows,
          createdAt: new Date().toISOString(),
        };
        datasets.insert(context.writable(), dataset);
        emit({ type: 'datasets.changed' });
        return dataset;
      });
      for (const one of given) discardArrived(context, one);
      return added;
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new StudioError('cancelled', 'The import was cancelled.', 'Nothing was kept; start it again.');
    } finally {
      endProgress(context, task);
    }
  };

  /** Reads a dataset's rows otherwise from here on. */
  const change = async (
    reference: string,
    changeOf: (dataset: Dataset) => Reshaping,
    signal: AbortSignal = never,
  ): Promise<Dataset> => {
    context.writable();
    const dataset = get(reference);
    try {
      return await keeping(async (reserve) => {
        const reshaped = await reshape(context, dataset, changeOf(dataset), { signal, reserve });
        const now = get(dataset.id);
        if (now.contentHash !== dataset.contentHash)
          throw new StudioError(
            'busy',
            `The dataset "${dataset.name}" was changed from elsewhere meanwhile.`,
            'Look at it, and try again.',
          );
        const entered = { ...reshaped, name: now.name };
        datasets.update(context.writable(), entered);
        emit({ type: 'datasets.changed' });
        return entered;
      });
    } finally {
      endProgress(context, `dataset ${dataset.id}`);
    }
  };

  const editsOf = ({ edits }: Dataset) => readEdits(paths.datasets, edits?.hash ?? null);

  context.trash.ofKind('datasets', (entity) => deleteUnused(datasetSchema.parse(entity).id));

  return {
    list: () => datasets.list(database),
    get,
    getOrAdd: async (reference, signal) =>
      datasets.find(database, reference) ??
      (existsSync(typedPath(reference)) ? add({ path: reference }, signal) : get(reference)),
    inspect: async ({ limit, ...options }) => inspectFiles(planned(options), limit ?? 20),
    add,
    discardArrived: (path) => discardArrived(context, path),
    rename(reference, name) {
      const dataset = get(reference);
      if (datasets.list(database).some((other) => other.id !== dataset.id && other.name === name))
        throw nameTaken(name);
      const renamed = { ...dataset, name };
      datasets.update(context.writable(), renamed);
      emit({ type: 'datasets.changed' });
      return renamed;
    },
    setMapping: (reference, mapping, signal) => change(reference, () => mapping, signal),
    setSplit: (reference, as, from, signal) => change(reference, () => ({ relabel: { as, from } }), signal),
    edit: (reference, changes, signal) =>
      change(
        reference,
        (dataset) => ({
          edits: {
            layer: withChanges(dataset, editsOf(dataset), changes),
            history: [dataset.edits?.hash ?? null, ...dataset.editHistory].slice(0, 100),
          },
        }),
        signal,
      ),
    async readAnew(reference, signal = never) {
      const dataset = get(reference);
      return keeping(async (reserve) => {
        const wanted = planned({ paths: [dataset.sourcePath], format: dataset.format });
        const options = { ...wanted, folder: paths.datasets, reserve, signal };
        const { imported } = await importDataset(options);
        const { isMappedByHand, mappings, editHistory: history } = dataset;
        const read = { ...dataset, ...imported };
        const kept = { ...(isMappedByHand && { mappings }), edits: { layer: editsOf(dataset), history } };
        const reshaped = await reshape(context, read, kept, { signal, reserve });
        const entered = { ...reshaped, name: get(dataset.id).name };
        datasets.update(context.writable(), entered);
        emit({ type: 'datasets.changed' });
        return entered;
      });
    },
    undoEdit: (reference, signal) =>
      change(
        reference,
        (dataset) => {
          const [before, ...history] = dataset.editHistory;
          if (before === undefined)
            throw new StudioError(
              'not_found',
              `The dataset "${dataset.name}" has no edit that could be taken back.`,
              'Edit its rows first.',
            );
          return { edits: { layer: readEdits(paths.datasets, before), history } };
        },
        signal,
      ),
    read: (dataset, range) => readRows(paths.datasets, dataset, range),
    shared: (reference) => sharedRows(context, get(reference)),
    rows: (reference, { which = 'all', ...range }) =>
      browseRows(paths.datasets, get(reference), { ...range, which }),
    find: (reference, search) => findRows(paths.datasets, get(reference), search),
    unused: (reference, range) => unusedRows(paths.datasets, get(reference), range),
    remove(reference) {
      const dataset = get(reference);
      const used = listAllRuns(database).filter(({ datasetId, mix }) =>
        mix ? snapshotDatasets(mix).includes(dataset.id) : datasetId === dataset.id,
      );
      if (used.length > 0)
        throw new StudioError(
          'in_use',
          `The dataset "${dataset.name}" is used by ${used.length} runs, for example "${used[0]!.name}".`,
          'Remove these runs first.',
        );
      const mix = listAllMixes(database).find(({ sources }) => sources.some(({ id }) => id === dataset.id));
      if (mix)
        throw new StudioError(
          'in_use',
          `The dataset "${dataset.name}" is a source of the mix "${mix.name}".`,
          'Take it out of the mix, or remove the mix first.',
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
      deleteUnused();
      if (!existsSync(paths.datasets)) return;
      for (const name of readdirSync(paths.datasets))
        if (name.startsWith('.import.')) rmSync(join(paths.datasets, name), { force: true });
    },
  };
}

/** What callers ask of them. */
export const datasetHandlers = (datasets: DatasetService) =>
  ({
    'datasets.list': () => datasets.list(),
    'datasets.get': ({ dataset }) => datasets.get(dataset),
    'datasets.inspect': (input) => datasets.inspect(input),
    'datasets.add': (input, { signal }) => datasets.add(input, signal),
    'datasets.discardArrived': ({ path }) => {
      datasets.discardArrived(path);
      return {};
    },
    'datasets.rename': ({ dataset, name }) => datasets.rename(dataset, name),
    'datasets.setMapping': ({ dataset, ...mapping }, { signal }) =>
      datasets.setMapping(dataset, mapping, signal),
    'datasets.setSplit': ({ dataset, from, as }, { signal }) => datasets.setSplit(dataset, as, from, signal),
    'datasets.rows': ({ dataset, ...range }) => datasets.rows(dataset, range),
    'datasets.find': ({ dataset, ...search }) => datasets.find(dataset, search),
    'datasets.unused': ({ dataset, ...range }) => datasets.unused(dataset, range),
    'datasets.edit': ({ dataset, changes }, { signal }) => datasets.edit(dataset, changes, signal),
    'datasets.undoEdit': ({ dataset }, { signal }) => datasets.undoEdit(dataset, signal),
    'datasets.shared': ({ dataset }) => datasets.shared(dataset),
    'datasets.restore': ({ dataset }) => datasets.restore(dataset),
    'datasets.remove': ({ dataset }) => {
      datasets.remove(dataset);
      return {};
    },
  }) satisfies Partial<ProcedureHandlers>;
