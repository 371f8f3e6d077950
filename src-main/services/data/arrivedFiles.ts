import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { ServiceContext } from '../context.ts';

type Home = Pick<ServiceContext, 'paths'>;

/** Files in the cache that wait to be imported: a browser sent them, or they were downloaded from the Hub. */
export interface ArrivedFiles {
  /** Files and folders, with what they are called where they came from. */
  paths: string[];
  /** Where the dataset came from. */
  source: string[];
  /** Its name, where nobody gives one. */
  wish: string | undefined;
  /** The configuration that was chosen of a dataset folder with several. */
  config: string | undefined;
}

/** What is written beside a download of the Hub. */
const downloadSchema = z.object({
  sourcePath: z.string(),
  wish: z.string(),
  config: z.string().optional(),
});
export type HubDownloadNote = z.infer<typeof downloadSchema>;

/** How an import names them: it says nothing of where the files lie, and reaches nothing else. */
const batchPath = /^upload:([\w-]{8,80})$/;
const downloadPath = /^hub:([0-9a-f]{16})-([0-9a-f]{16})$/;

export function uploadsFolder({ paths }: Home): string {
  return join(paths.cache, 'uploads');
}

/** The folder of a batch that a browser sends; null for a path that names none. */
export function batchFolder(home: Home, path: string): string | null {
  const batch = batchPath.exec(path)?.[1];
  return batch === undefined ? null : join(uploadsFolder(home), batch);
}

/**
 * Where a dataset of the Hub is downloaded to, and what was chosen of it put together.
 * @param key of the repository at its commit, 16 hexadecimal digits
 * @param choice of its files, likewise
 */
export function downloadFolders({ paths }: Home, key: string, choice: string) {
  const whole = join(paths.cache, 'hub-datasets', key);
  return {
    /** All that is there of it. */
    whole,
    files: join(whole, 'files'),
    chosen: join(whole, choice),
    note: join(whole, `${choice}.json`),
    path: `hub:${key}-${choice}`,
  };
}

/**
 * What an import's path stands for; null for one that is a file or folder of this machine.
 * @throws StudioError not_found where it is gone
 */
export function arrivedFiles(home: Home, path: string): ArrivedFiles | null {
  const batch = batchFolder(home, path);
  if (batch !== null) {
    const paths = namesIn(batch);
    if (paths.length === 0)
      throw new StudioError(
        'not_found',
        'The files that were sent are no longer there: they are kept until they are imported, or the studio is closed.',
        'Choose the files again.',
      );
    const source = paths.map((file) => `upload/${basename(file)}`);
    return { paths, source, wish: undefined, config: undefined };
  }
  const [, key, choice] = downloadPath.exec(path) ?? [];
  if (key === undefined || choice === undefined) return null;
  const { chosen, note } = downloadFolders(home, key, choice);
  const paths = namesIn(chosen);
  if (paths.length === 0 || !existsSync(note))
    throw new StudioError(
      'not_found',
      'What was downloaded from the Hub is no longer there: it is kept until it is imported.',
      'Download it again.',
    );
  const { sourcePath, wish, config } = downloadSchema.parse(JSON.parse(readFileSync(note, 'utf8')));
  return { paths, source: [sourcePath], wish, config };
}

/** Whether what was downloaded under a path still waits to be imported. */
export function isArrived(home: Home, path: string): boolean {
  const [, key, choice] = downloadPath.exec(path) ?? [];
  if (key === undefined || choice === undefined) return false;
  const { chosen, note } = downloadFolders(home, key, choice);
  return existsSync(note) && namesIn(chosen).length > 0;
}

/** Deletes what waits under a path; of the Hub all that is there of that dataset. */
export function discardArrived(home: Home, path: string): void {
  const [, key, choice] = downloadPath.exec(path) ?? [];
  const folder =
    key !== undefined && choice !== undefined
      ? downloadFolders(home, key, choice).whole
      : batchFolder(home, path);
  if (folder !== null) rmSync(folder, { recursive: true, force: true });
}

function namesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((name) => join(folder, name));
}
