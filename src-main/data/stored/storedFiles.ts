import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';

/** The files of a dataset, in the library's folder. */
export interface StoredFiles {
  /** Its rows: the studio's copy, or the file that is used where it lies. */
  copy: string;
  /** Where each of them begins. */
  index: string;
  /** Rows that were no rows, as JSON Lines; may be absent. */
  broken: string;
  /** Numbers of the rows that are not used; may be absent. */
  skipped: string;
}

export type Placed = Pick<Dataset, 'file' | 'contentHash' | 'inPlace'>;

/** Where the parts of a dataset lie. Their names are hashes of what decides their content. */
export function storedFiles(folder: string, { file, contentHash, inPlace }: Placed): StoredFiles {
  const base = join(folder, file.replace(/\.jsonl$/, ''));
  return {
    copy: inPlace?.path ?? join(folder, file),
    index: `${base}.index`,
    broken: `${base}.broken`,
    skipped: join(folder, `${contentHash}.skipped`),
  };
}

/**
 * Refuses a file that is used where it lies, and is no longer what it was.
 * @throws StudioError not_found, dataset_invalid
 */
export async function checkInPlace({ name, inPlace }: Pick<Dataset, 'name' | 'inPlace'>): Promise<void> {
  if (!inPlace) return;
  const stats = statSync(inPlace.path, { throwIfNoEntry: false });
  if (!stats)
    throw new StudioError(
      'not_found',
      `The dataset "${name}" is used where it lies, and ${inPlace.path} is gone.`,
      'Put the file back, or import it again from where it is now.',
    );
  if (stats.size === inPlace.size && stats.mtimeMs === inPlace.mtimeMs) return;
  // Copied or touched, it may still be the same.
  if (stats.size === inPlace.size && (await fileHash(inPlace.path)) === inPlace.hash) return;
  throw new StudioError(
    'dataset_invalid',
    `${basename(inPlace.path)}, which the dataset "${name}" uses where it lies, was changed after it was imported.`,
    'Import the changed file as another dataset, or put the old one back; without --in-place the studio keeps a copy.',
  );
}

/** SHA-256 of a file. */
export async function fileHash(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
