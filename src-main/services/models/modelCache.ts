import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Model } from '../../contract/entities.ts';
import { StudioError, toPlainError } from '../../contract/errors.ts';
import type { CachedModel, ModelCache } from '../../contract/modelLibrary.ts';
import { foreignFile } from '../../formats/files/foreignFile.ts';
import { cacheFolder } from './hub/places.ts';
import { readModel } from './modelImport.ts';

/** A snapshot of more files than this is no model. */
const mostFiles = 10_000;

/**
 * Lists the snapshots in the Hugging Face cache. Nothing there is changed, and what cannot be read is named beside what
 * can.
 * @param known models of the library, to tell which snapshots are already used
 */
export async function listModelCache(
  known: readonly Model[],
  { folder, setBy } = cacheFolder(),
): Promise<ModelCache> {
  const cache: ModelCache = {
    folder: resolve(folder),
    setBy,
    exists: existsSync(folder),
    models: [],
    unfinished: [],
    problems: [],
  };
  if (!cache.exists) return cache;
  const problem = (path: string, thrown: unknown) => cache.problems.push({ path, message: reasonOf(thrown) });
  for (const name of await namesIn(cache.folder, problem)) {
    if (!name.startsWith('models--')) continue;
    const repository = name.slice('models--'.length).replaceAll('--', '/');
    const path = join(cache.folder, name);
    await addUnfinished(cache, repository, join(path, 'blobs'), problem);
    const refs = await readRefs(join(path, 'refs'), problem);
    const snapshots = join(path, 'snapshots');
    for (const commit of await namesIn(snapshots, problem)) {
      try {
        cache.models.push(
          await describeSnapshot(repository, join(snapshots, commit), refs.get(commit) ?? [], known),
        );
      } catch (error) {
        problem(join(snapshots, commit), error);
      }
    }
  }
  cache.models.sort(
    (a, b) => a.repository.localeCompare(b.repository, 'en') || b.refs.length - a.refs.length,
  );
  return cache;
}

type OnProblem = (path: string, thrown: unknown) => void;

/** Entries of a folder; one that does not exist has none. */
async function namesIn(folder: string, onProblem: OnProblem): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') onProblem(folder, error);
    return [];
  }
}

/** Commit to the names of branches and tags that point to it. */
async function readRefs(folder: string, onProblem: OnProblem): Promise<Map<string, string[]>> {
  const refs = new Map<string, string[]>();
  for (const name of await namesIn(folder, onProblem)) {
    try {
      const path = join(folder, name);
      if (!(await stat(path)).isFile()) continue;
      const commit = (await readFile(path, 'utf8')).slice(0, 100).trim();
      refs.set(commit, [...(refs.get(commit) ?? []), name]);
    } catch (error) {
      onProblem(join(folder, name), error);
    }
  }
  return refs;
}

async function addUnfinished(
  cache: ModelCache,
  repository: string,
  blobs: string,
  onProblem: OnProblem,
): Promise<void> {
  const halves = (await namesIn(blobs, onProblem)).filter((name) => name.endsWith('.incomplete'));
  let sizeBytes = 0;
  for (const name of halves)
    sizeBytes += await stat(join(blobs, name)).then(
      ({ size }) => size,
      () => 0,
    );
  if (halves.length > 0) cache.unfinished.push({ repository, files: halves.length, sizeBytes });
}

async function describeSnapshot(
  repository: string,
  folder: string,
  refs: string[],
  known: readonly Model[],
): Promise<CachedModel> {
  const { sizeBytes, problems } = await measure(folder);
  const model: CachedModel = {
    repository,
    commit: basename(folder),
    refs,
    folder,
    sizeBytes,
    family: null,
    parameters: null,
    unusable: null,
    modelId: known.find((entry) => entry.folder === folder)?.id ?? null,
    problems,
  };
  try {
    const { family, parameters } = readModel(folder);
    Object.assign(model, { family, parameters });
    const tokenizer = join(folder, 'tokenizer.json');
    if (!existsSync(tokenizer)) throw lacksTokenizer(tokenizer);
  } catch (error) {
    model.unusable = toPlainError(error);
  }
  return model;
}

function lacksTokenizer(path: string): StudioError {
  const foreign = foreignFile(path);
  if (foreign) return new StudioError('model_invalid', `tokenizer.json ${foreign.what}.`, foreign.remedy);
  return new StudioError(
    'model_invalid',
    'It has no tokenizer.json.',
    'Save its tokenizer with transformers (use_fast=True), or choose another model.',
  );
}

/** Size of a snapshot's files with their links followed, and the links that lead nowhere. */
async function measure(folder: string): Promise<{ sizeBytes: number; problems: string[] }> {
  const names = await readdir(folder, { recursive: true });
  if (names.length > mostFiles) throw new Error(`has ${names.length} files`);
  let sizeBytes = 0;
  const problems: string[] = [];
  for (const name of names) {
    const path = join(folder, name);
    try {
      const stats = await stat(path);
      if (stats.isFile()) sizeBytes += stats.size;
    } catch (error) {
      const isLink = (await lstat(path)).isSymbolicLink();
      problems.push(
        isLink ? `${name} links to a file that is not there.` : `${name} cannot be read: ${reasonOf(error)}.`,
      );
    }
  }
  return { sizeBytes, problems };
}

function reasonOf(thrown: unknown): string {
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code === 'EACCES' || code === 'EPERM') return 'You may not read it';
  if (code === 'ENOTDIR') return 'It is no folder';
  return thrown instanceof Error ? thrown.message : String(thrown);
}
