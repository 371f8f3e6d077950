import { existsSync, statfsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StoragePart, StorageReport } from '../../contract/machine.ts';
import { StudioError } from '../../contract/errors.ts';
import { runsInState } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';

/** What the cache holds that is computed anew where it is missed: tokenized rows and chosen pivots. */
const cleanable = ['tokens', 'pivots'];
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
  const { bavail, bsize } = statfsSync(paths.home);
  return { home: paths.home, freeBytes: bavail * bsize, parts };
}

/**
 * Deletes what the cache holds of tokens and pivots; the next run that needs them computes them anew.
 * @returns what was freed
 * @throws StudioError config_invalid while a run trains
 */
export async function cleanCache({
  paths,
  database,
}: Pick<ServiceContext, 'paths' | 'database'>): Promise<{ files: number; bytes: number }> {
  const [running] = runsInState(database, 'running');
  if (running)
    throw new StudioError(
      'config_invalid',
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
  return { name, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}

/** SQLite keeps two more files beside the database while it is open. */
async function measureDatabase(path: string): Promise<StoragePart> {
  const files = ['', '-wal', '-shm'].map((end) => path + end).filter((file) => existsSync(file));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return { name: 'database', files: files.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** All files under a folder; what vanishes meanwhile, and links, count as nothing. */
async function filesIn(folder: string): Promise<{ path: string; bytes: number; changedAt: number }[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const found = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        const about = await stat(path).catch(() => null);
        return about ? [{ path, bytes: about.size, changedAt: about.mtimeMs }] : [];
      }),
  );
  return found.flat();
}
