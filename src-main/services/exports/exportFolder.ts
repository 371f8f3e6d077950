import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statSync,
  type Stats,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExportFormat } from '../../contract/results.ts';
import { StudioError } from '../../contract/errors.ts';
import { checkFreeSpace } from '../machine/disk.ts';

/** Makes sure that an export can be written into a folder, before anything is computed. */
export interface ExportFolder {
  path: string;
  format: ExportFormat;
  /** About how much will be written. */
  bytes: number;
}

/**
 * Makes the folders above `path`, and checks that there is room and that nothing else lies there.
 * @throws StudioError name_taken, disk_full, or not_found where the folder cannot be made
 */
export function prepareExportFolder({ path, format, bytes }: ExportFolder): void {
  const existing = existingEntry(path);
  const isAdapter = existing?.isDirectory() && existsSync(join(path, 'adapter_config.json'));
  const isEmpty = existing?.isDirectory() && readdirSync(path).length === 0;
  if (existing && !isEmpty && !(isAdapter && format === 'peft'))
    throw new StudioError(
      'name_taken',
      format === 'peft' ? `${path} exists and is not an adapter folder.` : `${path} exists and is not empty.`,
      'Choose a new folder for the export: nothing else is overwritten.',
    );
  const parent = dirname(path);
  const made = makeFolders(parent);
  try {
    // The folder is written beside its place and then renamed: its parent must take a new entry.
    accessSync(parent, constants.W_OK);
    const probe = join(parent, `.id-lora-studio-${process.pid}`);
    mkdirSync(probe);
    rmdirSync(probe);
    checkFreeSpace(parent, bytes, 'The export');
  } catch (error) {
    for (const folder of made.reverse()) rmdirSync(folder);
    throw error instanceof StudioError ? error : unwritable(parent, error);
  }
}

function existingEntry(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw unwritable(path, error);
  }
}

/** One level after the other: Node's recursive mkdir never ends below /proc. @returns the folders that were made */
function makeFolders(folder: string): string[] {
  const missing: string[] = [];
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) {
    missing.unshift(at);
    at = dirname(at);
  }
  const made: string[] = [];
  for (const path of missing)
    try {
      mkdirSync(path);
      made.push(path);
    } catch (error) {
      for (const done of made.reverse()) rmdirSync(done);
      throw unwritable(path, error);
    }
  return made;
}

function unwritable(path: string, error: unknown): StudioError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  const reasons: Readonly<Record<string, string>> = {
    EACCES: 'the studio may not write there',
    EPERM: 'the studio may not write there',
    EROFS: 'the disk is read-only',
    ENOENT: 'the system takes no folders there',
    ENOTDIR: 'a part of the path is a file',
    ENAMETOOLONG: 'a name in it is too long',
  };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new StudioError(
      'disk_full',
      `There is no room for an export at ${path}: the disk is full.`,
      'Free some space, or choose a folder on another disk.',
    );
  return new StudioError(
    'not_found',
    `The folder ${path} cannot be made: ${reasons[code] ?? code}.`,
    'Choose another folder for the export.',
    { cause: error },
  );
}

/** Bytes of the files in a folder. */
export function folderSize(folder: string): number {
  return readdirSync(folder)
    .map((name) => statSync(join(folder, name)))
    .reduce((total, stats) => total + (stats.isFile() ? stats.size : 0), 0);
}
