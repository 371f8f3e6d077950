import { mkdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { byteProgress, endProgress } from '../progress.ts';
import type { ServiceContext } from '../context.ts';
import { checkFreeSpace, writeAll } from '../machine/disk.ts';
import { batchFolder, uploadsFolder } from './arrivedFiles.ts';

/** A file that comes from a browser, which cannot say where it lies. */
export interface Upload {
  /** Files of one batch lie side by side, and can become one dataset. */
  batch: string;
  /** Its name there, or its path from a folder that was chosen. */
  name: string;
  sizeBytes: number;
  parts: AsyncIterable<Uint8Array>;
}

const deepest = 8;

/** Its name as every disk takes it: errors name the file. */
function diskName(name: string): string {
  const parts = name.split(/[\\/]/).filter((part) => !/^\.{0,2}$/.test(part));
  const safe = parts.slice(-deepest).map((part) =>
    part
      .replace(/[^\p{L}\p{N}_. -]/gu, '_')
      .replace(/^[. ]+/, '_')
      .slice(-100),
  );
  return safe.length === 0 ? 'dataset' : join(...safe);
}

/**
 * Receives a file, which waits to be imported.
 * @returns what an import names the batch by
 * @throws StudioError disk_full; dataset_invalid where it does not come whole
 */
export async function receiveFile(
  context: ServiceContext,
  { batch, name, sizeBytes, parts }: Upload,
): Promise<{ path: string }> {
  context.writable();
  const path = `upload:${batch}`;
  const folder = batchFolder(context, path);
  if (folder === null) throw new StudioError('usage', `No batch can be called ${batch}.`, 'Send it anew.');
  const place = join(folder, diskName(name));
  const task = `dataset ${batch}`;
  checkFreeSpace(folder, sizeBytes, 'The upload');
  mkdirSync(dirname(place), { recursive: true });
  try {
    const report = byteProgress(context, task, `Receiving ${name}`);
    const file = await open(place, 'w');
    try {
      let done = 0;
      for await (const part of parts) {
        if (done + part.length > sizeBytes) throw brokenUpload(name, 'is longer than was said');
        await writeAll(file, part);
        report((done += part.length), sizeBytes);
      }
      if (done < sizeBytes) throw brokenUpload(name, `ended after ${done} of ${sizeBytes} bytes`);
    } finally {
      await file.close();
    }
    return { path };
  } catch (error) {
    rmSync(place, { force: true });
    throw error;
  } finally {
    endProgress(context, task);
  }
}

/** Clears what nobody imported before the studio was closed. */
export function clearUploads(context: ServiceContext): void {
  rmSync(uploadsFolder(context), { recursive: true, force: true });
}

function brokenUpload(name: string, how: string): StudioError {
  return new StudioError('dataset_invalid', `The upload of ${name} ${how}.`, 'Drop the file again.');
}
