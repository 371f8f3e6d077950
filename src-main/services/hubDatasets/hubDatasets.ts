import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { HubDataset, HubDatasetConfig } from '../../contract/datasets/datasetProcedures.ts';
import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { HubModel } from '../../contract/modelLibrary.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import type { Split } from '../../contract/rows.ts';
import { kindByName } from '../../data/readers/fileKind.ts';
import { configsOfCard, filesOfConfig, isAside } from '../../data/readers/sourceFiles.ts';
import { splitOfPath } from '../../data/readers/splitNames.ts';
import type { ServiceContext } from '../context.ts';
import { downloadFolders, isArrived, type HubDownloadNote } from '../data/arrivedFiles.ts';
import type { DatasetService } from '../data/datasetService.ts';
import { checkFreeSpace, freeBytes } from '../machine/disk.ts';
import { fetchFile } from '../models/downloads/fetchFile.ts';
import type { HubService } from '../models/hub/hub.ts';
import { invalidAnswer } from '../models/hub/hubErrors.ts';
import { openHubFile, readHubText } from '../models/hub/hubFile.ts';
import {
  listRepository,
  parseRepository,
  searchHub,
  type ListedFile,
  type Repository,
} from '../models/hub/repository.ts';
import { byteProgress, endProgress } from '../progress.ts';
import { createHubFetches, type HubFetches, type HubWish } from './hubFetches.ts';

export interface HubDatasetService {
  search(query: string, limit: number, signal: AbortSignal): Promise<HubModel[]>;
  /** Configurations and parts of a dataset, before anything of it is downloaded. */
  inspect(repository: string, revision: string | undefined, signal: AbortSignal): Promise<HubDataset>;
  /**
   * Downloads what is wanted. What came before a stop, a crash or a broken connection is kept, and gone on with by the
   * same call.
   * @returns what an import names the files by
   * @throws StudioError as the Hub says; not_found for an unknown configuration or part; busy while it is downloaded
   */
  fetch(wanted: HubWish, signal: AbortSignal): Promise<{ path: string }>;
  /** The downloads that pages began, which go on without them. */
  fetches: HubFetches;
  /** Downloads and imports. @throws StudioError as `fetch` and `datasets.add` do */
  download(wanted: HubWish & { name?: string | undefined }, signal: AbortSignal): Promise<Dataset>;
}

const cardName = 'README.md';
const mostCardBytes = 4 * 1024 * 1024;

interface Config {
  name: string;
  /** Whether its card declares it: it is then read as the card says. */
  isDeclared: boolean;
  files: { file: ListedFile; split: Split }[];
}

/** Datasets of the Hub, by the same client as its models. */
export function createHubDatasetService(
  context: ServiceContext,
  hub: HubService,
  datasets: DatasetService,
): HubDatasetService {
  const { paths } = context;

  async function look(given: string, revision: string | undefined, signal: AbortSignal) {
    const named = parseRepository(given);
    const wanted = revision?.trim() || named.revision || 'main';
    const repository = await listRepository(hub.access(), named.repository, wanted, signal, 'datasets');
    return { repository, configs: await configsOf(repository, signal) };
  }

  async function configsOf(repository: Repository, signal: AbortSignal): Promise<Config[]> {
    const data = repository.files.filter(({ name }) => {
      const { kind, packing } = kindByName(name);
      return !isAside(name) && ((kind !== null && kind !== 'markdown') || packing === 'zip');
    });
    const hasCard = repository.files.some(({ name }) => name === cardName);
    const card = hasCard
      ? await readHubText(hub.access(), repository, cardName, mostCardBytes, signal, 'datasets')
      : '';
    const names = repository.files.map(({ name }) => name);
    const declared = configsOfCard(card).flatMap((config): Config[] => {
      const files = filesOfConfig(config, names).map(({ name, split }) => ({
        file: repository.files.find((file) => file.name === name)!,
        split,
      }));
      return files.length > 0 ? [{ name: config.name, isDeclared: true, files }] : [];
    });
    if (declared.length > 0) return declared;
    const files = data.map((file) => ({ file, split: splitOfPath(file.name)?.split ?? ('train' as const) }));
    return files.length > 0 ? [{ name: 'default', isDeclared: false, files }] : [];
  }

  async function fetchAll(
    repository: Repository,
    files: readonly ListedFile[],
    folder: string,
    signal: AbortSignal,
  ): Promise<void> {
    const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const task = `dataset ${repository.name}`;
    const report = byteProgress(context, task, `Downloading ${repository.name}`);
    let complete = 0;
    try {
      for (const file of files) {
        const { name } = file;
        if (file.sizeBytes < 0 || (file.sha256 === null && file.gitSha1 === null))
          throw invalidAnswer(`it gives no size and hash for ${name}`);
        const path = join(folder, name);
        mkdirSync(dirname(path), { recursive: true });
        const wanted = {
          repository: repository.name,
          commit: repository.commit,
          name,
          kind: 'datasets' as const,
        };
        await fetchFile({
          file,
          path,
          signal,
          openFrom: (from) => openHubFile(hub.access(), wanted, from, signal),
          onBytes: (done) => report(complete + done, total),
        });
        complete += file.sizeBytes;
      }
    } finally {
      endProgress(context, task);
    }
  }

  /** Repositories that are downloaded now: two at the same file would spoil it. */
  const underWay = new Set<string>();

  async function fetch(
    { repository: given, revision, config: configName, splits }: HubWish,
    signal: AbortSignal,
  ): Promise<{ path: string }> {
    context.writable();
    const { repository, configs } = await look(given, revision, signal);
    const config = chosenConfig(repository, configs, configName);
    const files = config.files.filter(({ split }) => splits === undefined || splits.includes(split));
    if (files.length === 0)
      throw new StudioError(
        'not_found',
        `${repository.name} (${config.name}) has no part ${splits?.join(' or ')}.`,
        `There are ${[...new Set(config.files.map(({ split }) => split))].join(', ')}.`,
      );
    const card = repository.files.filter((file) => config.isDeclared && file.name === cardName);
    const wanted = [...new Set([...card, ...files.map(({ file }) => file)])];
    const key = keyOf(repository);
    const choice = shortHash(JSON.stringify([config.name, wanted.map(({ name }) => name)]));
    const folders = downloadFolders(context, key, choice);
    if (underWay.has(key))
      throw new StudioError(
        'busy',
        `${repository.name} is being downloaded already.`,
        'Wait for it, or cancel it where it was begun.',
      );
    underWay.add(key);
    try {
      const missing = wanted.map((file) => Math.max(0, file.sizeBytes) - hereBytes(folders.files, file));
      // Of what is there a copy is still to be made, which is at most as long as the rows are.
      const bytes = wanted.reduce((sum, { sizeBytes }) => sum + Math.max(0, sizeBytes), 0);
      checkFreeSpace(
        paths.cache,
        missing.reduce((sum, one) => sum + one, bytes),
        `The download of ${repository.name}`,
      );
      await fetchAll(repository, wanted, folders.files, signal);
      const name = repository.name.split('/').at(-1)!;
      // Its name is seen in the names of the dataset's files.
      const chosen = join(folders.chosen, name);
      rmSync(folders.chosen, { recursive: true, force: true });
      for (const file of wanted) linkOrCopy(join(folders.files, file.name), join(chosen, file.name));
      const suffix = configs.length > 1 ? `/${config.name}` : '';
      const note: HubDownloadNote = {
        sourcePath: `hub/${repository.name}${suffix}@${repository.commit.slice(0, 12)}`,
        wish: name,
        ...(config.isDeclared && { config: config.name }),
      };
      writeFileSync(folders.note, JSON.stringify(note));
      return { path: folders.path };
    } finally {
      underWay.delete(key);
    }
  }

  return {
    search: (query, limit, signal) => searchHub(hub.access(), query.trim(), limit, signal, 'datasets'),
    async inspect(given, revision, signal) {
      const { repository, configs } = await look(given, revision, signal);
      const { name, commit, licence } = repository;
      return {
        repository: name,
        revision: repository.revision,
        commit,
        licence,
        configs: configs.map((config) =>
          described(config, downloadFolders(context, keyOf(repository), '').files),
        ),
        freeBytes: freeBytes(paths.cache),
      };
    },
    fetch,
    fetches: createHubFetches(fetch, (path) => isArrived(context, path)),
    async download({ name, ...wanted }, signal) {
      const { path } = await fetch(wanted, signal);
      return datasets.add({ paths: [path], name }, signal);
    },
  };
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function keyOf({ name, commit }: Repository): string {
  return shortHash(`${name} ${commit}`);
}

/** Bytes of a file that an earlier download left. */
function hereBytes(folder: string, { name, sizeBytes }: ListedFile): number {
  const size = (path: string) => statSync(path, { throwIfNoEntry: false })?.size;
  const here = size(join(folder, name)) ?? size(join(folder, `${name}.partial`)) ?? 0;
  return Math.min(here, Math.max(0, sizeBytes));
}

/** The same file in a folder of what was chosen: other choices of the dataset lie beside it. */
function linkOrCopy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  try {
    linkSync(from, to);
  } catch {
    // Not every disk has links.
    copyFileSync(from, to);
  }
}

/** @param folder where its downloads lie */
function described({ name, files }: Config, folder: string): HubDatasetConfig {
  const splits = [...new Set(files.map(({ split }) => split))];
  return {
    name,
    splits: splits.map((split) => {
      const mine = files.filter((one) => one.split === split);
      const sizeBytes = mine.reduce((sum, { file }) => sum + Math.max(0, file.sizeBytes), 0);
      const here = mine.reduce((sum, { file }) => sum + hereBytes(folder, file), 0);
      return { split, files: mine.length, sizeBytes, hereBytes: here };
    }),
  };
}

function chosenConfig(repository: Repository, configs: readonly Config[], name: string | undefined): Config {
  const [first] = configs;
  if (!first)
    throw new StudioError(
      'dataset_invalid',
      `${repository.name} has no files with rows that the studio reads.`,
      'Choose a dataset of Parquet, JSON, CSV or text files; one that is made by a script has a branch refs/convert/parquet.',
    );
  const known = configs.map((config) => config.name);
  const found =
    name === undefined
      ? (configs.find((config) => config.name === 'default') ?? first)
      : configs.find((config) => config.name === name);
  if (found) return found;
  throw new StudioError(
    'not_found',
    `${repository.name} has no configuration "${name}".`,
    `There ${known.length === 1 ? 'is' : 'are'} ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', …' : ''}.`,
  );
}

/** What callers ask of them. */
export const hubDatasetHandlers = (service: HubDatasetService) =>
  ({
    'datasets.hubSearch': ({ query, limit }, { signal }) => service.search(query, limit, signal),
    'datasets.hubInspect': ({ repository, revision }, { signal }) =>
      service.inspect(repository, revision, signal),
    'datasets.hubFetch': (wanted) => service.fetches.begin(wanted),
    'datasets.hubFetches': () => service.fetches.list(),
    'datasets.hubCancel': async ({ repository }) => {
      await service.fetches.cancel(repository);
      return {};
    },
    'datasets.hubDownload': (wanted, { signal }) => service.download(wanted, signal),
  }) satisfies Partial<ProcedureHandlers>;
