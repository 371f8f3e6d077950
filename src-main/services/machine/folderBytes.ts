import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Bytes of all files in a folder; 0 where there is none. */
export function folderBytes(folder: string): number {
  return filesIn(folder).reduce((total, path) => total + lstatSync(path).size, 0);
}

/** Bytes that the disk gains when a folder is removed: files that lie somewhere else, too (links of a branch) stay. */
export function bytesOnlyIn(folder: string): number {
  return filesIn(folder).reduce((total, path) => {
    const { size, nlink } = lstatSync(path);
    return nlink > 1 ? total : total + size;
  }, 0);
}

function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
