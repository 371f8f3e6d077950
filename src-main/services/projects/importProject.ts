import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ZodError } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { ImportedProject } from '../../contract/imports/archives.ts';
import { archiveInvalid, readTar, tarredBytes, type TarFile } from '../../formats/files/tar.ts';
import { openProjectCopy } from '../../store/archive/projectCopy.ts';
import { mergeProject } from '../../store/archive/mergeProject.ts';
import type { ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { checkFreeSpace, partsOfFile, writeAll } from '../machine/disk.ts';
import { byteProgress, endProgress } from '../progress.ts';
import {
  archiveFile,
  archiveFormat,
  databaseName,
  hashesName,
  hashesSchema,
  manifestName,
  manifestSchema,
  type ArchiveManifest,
} from './archiveLayout.ts';

/** A manifest or a list of hashes is no larger. */
const mostListBytes = 256 * 1024 * 1024;
/** Where archives are unpacked before anything of them is used. */
const scratchPrefix = 'archive-';

/**
 * Takes an archive of a project in: all of it, or nothing. Everything is unpacked beside the data and checked against
 * its hashes first.
 * @throws StudioError not_found, archive_invalid, store_from_future, disk_full; cancelled
 */
export async function importProject(
  context: ServiceContext,
  { file: given, into }: { file: string; into: string | null },
  signal: AbortSignal,
): Promise<ImportedProject> {
  const { paths } = context;
  const file = typedPath(given);
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile())
    throw new StudioError('not_found', `There is no file ${file}.`, 'Check the path of the archive.');
  const writable = context.writable();
  const scratch = mkdtempSync(join(paths.home, scratchPrefix));
  const task = `archive ${given}`;
  const moved: string[] = [];
  try {
    await unpack(context, { file, size: stats.size, scratch, task }, signal);
    const path = join(scratch, databaseName);
    const copy = openProjectCopy(path);
    try {
      return mergeProject(writable, {
        copy,
        path,
        into,
        absentFolder: (id) => join(paths.models, id),
        place(runIds) {
          for (const id of runIds) {
            const source = join(scratch, 'runs', id);
            if (!existsSync(source)) continue;
            const target = paths.runFolder(id);
            mkdirSync(dirname(target), { recursive: true });
            // What lies there without a record belongs to nobody; it is left alone all the same.
            if (existsSync(target))
              throw archiveInvalid(`holds the run ${id}, whose folder is here without a record`);
            renameSync(source, target);
            moved.push(target);
          }
        },
      });
    } finally {
      copy.close();
    }
  } catch (error) {
    for (const folder of moved) rmSync(folder, { recursive: true, force: true });
    throw asInvalid(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    endProgress(context, task);
  }
}

/** Clears what processes left behind that died while they wrote or read an archive. */
export function clearArchives({ paths }: Pick<ServiceContext, 'paths'>): void {
  for (const name of existsSync(paths.home) ? readdirSync(paths.home) : [])
    if (name.startsWith(scratchPrefix)) rmSync(join(paths.home, name), { recursive: true, force: true });
}

/** Rows that are none of the studio's are the archive's fault. */
function asInvalid(error: unknown): unknown {
  if (error instanceof ZodError) {
    const { path, message } = error.issues[0]!;
    return archiveInvalid(`has a row that is none: ${path.join('.')}: ${message}`);
  }
  // A row's document that is cut or changed, with a hash that fits.
  if (error instanceof SyntaxError) return archiveInvalid(`has a row that is none: ${error.message}`);
  const isOfRows =
    error instanceof Error && 'code' in error && String(error.code).startsWith('SQLITE_CONSTRAINT');
  return isOfRows ? archiveInvalid(`has rows that contradict each other (${error.message})`) : error;
}

/** Unpacks an archive into a folder and checks it as a whole. */
async function unpack(
  context: ServiceContext,
  { file, size, scratch, task }: { file: string; size: number; scratch: string; task: string },
  signal: AbortSignal,
): Promise<void> {
  const report = byteProgress(context, task, 'Reading the archive');
  const hashes: Record<string, string> = {};
  let manifest: ArchiveManifest | null = null;
  let isWhole = false;
  let next = 0;
  let done = 0;
  for await (const entry of readTar(partsOfFile(file, signal, 'The import'))) {
    if (manifest === null) {
      manifest = readManifest(entry.name, await textOf(entry), size);
      checkFreeSpace(
        scratch,
        manifest.files.reduce((sum, one) => sum + one.size, 0),
        'The project',
      );
      continue;
    }
    const expected = manifest.files[next++];
    if (expected === undefined) {
      if (entry.name !== hashesName || isWhole)
        throw archiveInvalid(`holds ${entry.name}, which its list does not name`);
      checkHashes(await textOf(entry), hashes);
      isWhole = true;
      continue;
    }
    if (entry.name !== expected.name || entry.size !== expected.size)
      throw archiveInvalid(
        `holds ${entry.name} (${entry.size} bytes) where its list names ${expected.name} (${expected.size} bytes)`,
      );
    const path = join(scratch, ...entry.name.split('/'));
    mkdirSync(dirname(path), { recursive: true });
    const hash = createHash('sha256');
    const handle = await open(path, 'wx');
    try {
      for await (const part of entry.content) {
        hash.update(part);
        await writeAll(handle, part);
        report((done += part.length), size);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    hashes[entry.name] = hash.digest('hex');
  }
  if (!isWhole) throw archiveInvalid('is cut off: the list of its hashes is missing');
}

/** @throws StudioError archive_invalid for a list that names what no project has, or more than the file can hold */
function readManifest(name: string, text: string, size: number): ArchiveManifest {
  if (name !== manifestName)
    throw archiveInvalid(`does not begin with ${manifestName}: it is none of a project`);
  const manifest = manifestSchema.parse(parsed(text, manifestName));
  if (manifest.version > archiveFormat.version)
    throw new StudioError(
      'store_from_future',
      `The archive has version ${manifest.version}; this studio reads ${archiveFormat.version}.`,
      'Update the studio, then import it.',
    );
  const seen = new Set<string>();
  for (const { name: listed } of manifest.files) {
    if (listed !== databaseName && !archiveFile.test(listed))
      throw archiveInvalid(`names ${JSON.stringify(listed.slice(0, 80))}, which is no file of a project`);
    if (seen.has(listed)) throw archiveInvalid(`names ${listed} twice`);
    seen.add(listed);
  }
  if (!seen.has(databaseName)) throw archiveInvalid(`has no ${databaseName}`);
  const declared = manifest.files.reduce((sum, one) => sum + tarredBytes(one.size), 0);
  if (declared > size) throw archiveInvalid(`declares ${declared} bytes and has ${size}: it is cut off`);
  return manifest;
}

function checkHashes(text: string, found: Readonly<Record<string, string>>): void {
  const hashes = hashesSchema.parse(parsed(text, hashesName));
  for (const [name, hash] of Object.entries(found))
    if (hashes[name] !== hash)
      throw archiveInvalid(`has another content in ${name} than its hash says: it was changed`);
}

function parsed(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw archiveInvalid(`has a ${name} that is no JSON`);
  }
}

async function textOf({ name, size, content }: TarFile): Promise<string> {
  if (size > mostListBytes) throw archiveInvalid(`has a ${name} of ${size} bytes`);
  const parts: Buffer[] = [];
  for await (const part of content) parts.push(Buffer.from(part));
  return Buffer.concat(parts).toString('utf8');
}
