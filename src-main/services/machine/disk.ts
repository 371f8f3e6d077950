import { existsSync, statfsSync } from 'node:fs';
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';

/** A file as it lies on the disk. */
export interface FoundFile {
  path: string;
  bytes: number;
  /** Names of the file: more than one where another folder holds it, too. */
  links: number;
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** All files below a folder; none where there is no folder. What vanishes meanwhile, and links, count as nothing. */
export async function filesIn(folder: string): Promise<FoundFile[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const found = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async ({ parentPath, name }) => {
        const path = join(parentPath, name);
        const about = await stat(path).catch(() => null);
        return about ? [{ path, bytes: about.size, links: about.nlink, changedAt: about.mtimeMs }] : [];
      }),
  );
  return found.flat();
}

export function totalBytes(files: readonly FoundFile[]): number {
  return files.reduce((total, { bytes }) => total + bytes, 0);
}

/** Bytes that the disk gains when a folder is removed: files that lie somewhere else, too (links of a branch) stay. */
export async function bytesOnlyIn(folder: string): Promise<number> {
  return totalBytes((await filesIn(folder)).filter(({ links }) => links === 1));
}

/** Bytes that may still be written below a folder, which need not exist yet. */
export function freeBytes(folder: string): number {
  if (!existsSync(folder)) return freeBytes(dirname(folder));
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

export function inGigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 3 : 1)} GB`;
}

/**
 * @param reserve bytes that stay free: the database, checkpoints and the system go on writing beside it
 * @throws StudioError disk_full: says what is needed and what there is
 */
export function checkFreeSpace(folder: string, needed: number, what: string, reserve = 200e6): void {
  const free = freeBytes(folder);
  if (free >= needed + reserve) return;
  throw new StudioError(
    'disk_full',
    `${what} needs ${inGigabytes(needed)} and some room beside it; ${inGigabytes(free)} are free at ${folder}.`,
    'Free some space, use the folder in place without a copy, or choose a data folder on another disk with --home DIR.',
  );
}

const bufferBytes = 4 * 1024 * 1024;

/**
 * A file's bytes in parts, each of which is valid until the next is asked for.
 * @param what is cancelled when the signal is aborted
 */
export async function* partsOfFile(path: string, signal: AbortSignal, what: string): AsyncGenerator<Buffer> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(bufferBytes);
    for (;;) {
      if (signal.aborted) throw cancelled(what);
      const { bytesRead } = await file.read(buffer, 0, bufferBytes);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}

/** The error of work that its caller ended. */
export function cancelled(what: string): StudioError {
  return new StudioError('cancelled', `${what} was cancelled.`, 'Start it again when you like.');
}
