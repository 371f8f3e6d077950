import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

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
    renameSync(temporary, path);
    syncFolder(folder);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
