import { existsSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StoragePart, StorageReport } from '../../contract/machine.ts';
import { StudioError } from '../../contract/errors.ts';
import { runsInState } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { filesIn, freeBytes, totalBytes } from './disk.ts';

/**
 * What the cache holds that is computed or fetched anew where it is missed: tokenized rows, chosen pivots, adapters of
 * the Hub that were not added, and what a check of an export that was killed has left.
 */
const cleanable = ['tokens', 'pivots', 'hub-adapters', 'checks'];
/** A file that was written this recently may belong to work under way. */
const untouchedMs = 10 * 60_000;

/** What takes space in the data folder, by kind. */
export async function readStorage({ paths }: Pick<ServiceContext, 'paths'>): Promise<StorageReport> {
  const runs = dirname(paths.runFolder('any'));
  const parts: StoragePart[] = [
    await measure('models', paths.models),
    await measure('datasets', paths.datasets),
    await measure('runs', runs),
    await measure('cache', paths.cache),
    await measureDatabase(paths.database),
  ];
  return { home: paths.home, freeBytes: freeBytes(paths.home), parts };
}

/**
 * Deletes what the cache holds of these; who needs them next computes or fetches them anew.
 * @returns what was freed
 * @throws StudioError busy while a run trains
 */
export async function cleanCache({
  paths,
  database,
}: Pick<ServiceContext, 'paths' | 'database'>): Promise<{ files: number; bytes: number }> {
  const [running] = runsInState(database, 'running');
  if (running)
    throw new StudioError(
      'busy',
      `The run "${running.name}" is training and reads from the cache.`,
      'Clean it when the run has ended.',
    );
  const freed = { files: 0, bytes: 0 };
  for (const name of cleanable)
    for (const { path, bytes, changedAt } of await filesIn(join(paths.cache, name))) {
      if (Date.now() - changedAt < untouchedMs) continue;
      await rm(path, { force: true });
      freed.files++;
      freed.bytes += bytes;
    }
  return freed;
}

async function measure(name: StoragePart['name'], folder: string): Promise<StoragePart> {
  const files = await filesIn(folder);
  return { name, files: files.length, bytes: totalBytes(files) };
}

/** SQLite keeps two more files beside the database while it is open. */
async function measureDatabase(path: string): Promise<StoragePart> {
  const files = ['', '-wal', '-shm'].map((end) => path + end).filter((file) => existsSync(file));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return { name: 'database', files: files.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}
