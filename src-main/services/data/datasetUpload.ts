import { mkdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Dataset } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { byteProgress, endProgress } from '../progress.ts';
import { newId, type ServiceContext } from '../context.ts';
import { checkFreeSpace, writeAll } from '../machine/disk.ts';
import type { DatasetService } from './datasets.ts';

/** A dataset that comes from a browser, which cannot say where a file lies. */
export interface Upload {
  /** Its name there. */
  name: string;
  sizeBytes: number;
  parts: AsyncIterable<Uint8Array>;
}

function uploadsFolder({ paths }: ServiceContext): string {
  return join(paths.cache, 'uploads');
}

/**
 * Receives a dataset file and imports it; the received file goes when it has been read.
 * @throws StudioError disk_full; dataset_invalid and the like, as `datasets.add` does
 */
export async function receiveDataset(
  context: ServiceContext,
  datasets: DatasetService,
  { name: given, sizeBytes, parts }: Upload,
): Promise<Dataset> {
  context.writable();
  const name = basename(given.replaceAll('\\', '/')).slice(0, 200) || 'dataset';
  const id = newId();
  const task = `dataset ${id}`;
  const folder = join(uploadsFolder(context), id);
  // Errors name the file, so it keeps its name as far as every disk takes it.
  const path = join(
    folder,
    name
      .replace(/[^\w. -]/g, '_')
      .replace(/^[. ]+/, '_')
      .slice(-100),
  );
  checkFreeSpace(folder, sizeBytes, 'The upload');
  mkdirSync(folder, { recursive: true });
  try {
    const report = byteProgress(context, task, `Receiving ${name}`);
    const file = await open(path, 'wx');
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
    return await datasets.add({ path, format: 'auto', sourcePath: `upload/${name}` });
  } finally {
    endProgress(context, task);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Clears what a process left that died while it received a file. */
export function clearUploads(context: ServiceContext): void {
  rmSync(uploadsFolder(context), { recursive: true, force: true });
}

function brokenUpload(name: string, how: string): StudioError {
  return new StudioError('dataset_invalid', `The upload of ${name} ${how}.`, 'Drop the file again.');
}
