import {
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';

/** Makes a rename inside `folder` survive a power loss. Windows cannot open folders: there it is a no-op. */
export function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Node takes lengths up to 2 GiB in one call; tensors may be larger. */
export const bytesPerCall = 1024 ** 3;

/** Writes a file so that it is complete or absent: temporary file, fsync, rename, fsync of the folder. */
export function writeFileAtomic(path: string, content: string | Iterable<Uint8Array>): void {
  writeThen(path, content, (temporary) => renameSync(temporary, path));
}

/**
 * The same for a file that must not be there yet.
 * @returns whether it was written: false where something lies at the path, also something that came in the meantime
 */
export function writeNewFileAtomic(path: string, content: string | Iterable<Uint8Array>): boolean {
  if (existsSync(path)) return false;
  let isNew = true;
  writeThen(path, content, (temporary) => {
    try {
      // Unlike a rename, a link takes nobody's place; likewise a copy that is told so, where there are no links.
      linkSync(temporary, path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') isNew = false;
      else copyFileSync(temporary, path, constants.COPYFILE_EXCL);
    }
    rmSync(temporary);
  });
  return isNew;
}

function writeThen(
  path: string,
  content: string | Iterable<Uint8Array>,
  place: (temporary: string) => void,
): void {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true });
  const temporary = `${path}.${process.pid}.partial`;
  try {
    const fd = openSync(temporary, 'w');
    try {
      const parts = typeof content === 'string' ? [Buffer.from(content)] : content;
      for (const part of parts)
        for (let at = 0; at < part.byteLength;)
          at += writeSync(fd, part, at, Math.min(bytesPerCall, part.byteLength - at));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    place(temporary);
    syncFolder(folder);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/**
 * Writes a folder that is not there yet, or empty: complete or absent.
 * @param write is given the folder to fill; what it returns is returned
 * @throws StudioError name_taken
 */
export function writeNewFolder<T>(folder: string, write: (temporary: string) => T): T {
  const existing = lstatSync(folder, { throwIfNoEntry: false });
  if (existing && !(existing.isDirectory() && readdirSync(folder).length === 0))
    throw new StudioError(
      'name_taken',
      `${folder} exists and is not empty.`,
      'Choose a new folder for the model: nothing is overwritten.',
    );
  const temporary = join(dirname(folder), `.${basename(folder)}.${process.pid}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    const result = write(temporary);
    if (existing) rmSync(folder, { recursive: true });
    renameSync(temporary, folder);
    syncFolder(dirname(folder));
    return result;
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Gives a folder of finished files a second place, complete or absent: its files are linked, which takes no room and
 * outlives the first place; where the file system has no links they are copied. For files that nobody changes in place.
 */
export function linkFolder(source: string, target: string): void {
  const temporary = join(dirname(target), `.${process.pid}.partial`);
  rmSync(temporary, { recursive: true, force: true });
  try {
    linkInto(source, temporary);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function linkInto(source: string, target: string): void {
  mkdirSync(target, { recursive: true });
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), join(target, entry.name)];
    if (entry.isDirectory()) linkInto(from, to);
    else linkFile(from, to);
  }
}

function linkFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    copyFileSync(from, to, constants.COPYFILE_FICLONE);
  }
}
