import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StudioError } from '../../contract/errors.ts';
import { syncFolder } from '../../formats/files/atomicFile.ts';
import { layOutModel } from '../../formats/gguf/layOutModel.ts';
import { ggufWeightName, singleWeightName, weightIndexName } from '../../formats/model/weightFolder.ts';
import { typedPath } from '../homePaths.ts';
import { checkFreeSpace, partsOfFile, writeAll } from '../machine/disk.ts';
import type { LongWork } from './modelImport.ts';

/**
 * The GGUF file that a person means by a path: the file itself, or the only one of a folder that has no other weights.
 * Null where it is something else.
 * @throws StudioError model_invalid: several files, or a part of a model
 */
export function ggufFileOf(given: string): string | null {
  const path = typedPath(given);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile()) return path.toLowerCase().endsWith('.gguf') ? whole(path) : null;
  if (!stats?.isDirectory()) return null;
  const names = readdirSync(path);
  // What the studio laid out itself is read as it is, and other weights go before.
  if ([singleWeightName, weightIndexName].some((name) => names.includes(name))) return null;
  if (names.includes(ggufWeightName) && names.includes('config.json')) return null;
  const files = names.filter((name) => name.toLowerCase().endsWith('.gguf'));
  if (files.length > 1)
    throw new StudioError(
      'model_invalid',
      `${path} has ${files.length} GGUF files (${files.slice(0, 4).join(', ')}${files.length > 4 ? ', …' : ''}).`,
      'Choose one of them: models add FOLDER/FILE.gguf.',
    );
  return files.length === 0 ? null : whole(join(path, files[0]!));
}

function whole(path: string): string {
  const part = /-(\d{5})-of-(\d{5})\.gguf$/i.exec(path);
  if (!part || part[2] === '00001') return path;
  throw new StudioError(
    'model_invalid',
    `${basename(path)} is one of ${Number(part[2])} parts of a model.`,
    'Join them with llama-gguf-split --merge FIRST_PART OUT.gguf, and add that file.',
  );
}

/** Whether a model folder of the studio's stands for a GGUF file. */
export function standsFor(folder: string, file: string): boolean {
  const place = join(folder, ggufWeightName);
  return existsSync(place) && realpathSync(place) === realpathSync(file);
}

/**
 * Makes a model folder of a GGUF file: configuration and tokenizer from what the file says, and the file itself, copied
 * or linked. Complete or absent.
 * @throws StudioError model_invalid, model_unsupported, disk_full
 */
export async function makeGgufFolder(
  file: string,
  target: string,
  { copy, work }: { copy: boolean; work: LongWork },
): Promise<void> {
  const temporary = `${target}.partial`;
  mkdirSync(temporary, { recursive: true });
  try {
    layOutModel(file, temporary);
    const place = join(temporary, ggufWeightName);
    if (copy) await copyFile(file, place, work);
    else linkFile(file, place);
    syncFolder(temporary);
    renameSync(temporary, target);
    syncFolder(dirname(target));
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function linkFile(file: string, place: string): void {
  try {
    symlinkSync(file, place);
  } catch {
    // Windows keeps such links from most users.
    linkSync(file, place);
  }
}

async function copyFile(file: string, place: string, { onBytes, signal }: LongWork): Promise<void> {
  const total = statSync(file).size;
  checkFreeSpace(dirname(place), total, 'The copy');
  const written = await open(place, 'wx');
  let done = 0;
  try {
    for await (const part of partsOfFile(file, signal, 'Adding the model')) {
      await writeAll(written, part);
      onBytes((done += part.length), total);
    }
    await written.sync();
  } finally {
    await written.close();
  }
}
