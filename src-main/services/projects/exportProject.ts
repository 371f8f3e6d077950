import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import type { Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ExportedProject } from '../../contract/imports/archives.ts';
import { syncFolder } from '../../formats/files/atomicFile.ts';
import { tarEnd, tarHeader, tarPadding, tarredBytes } from '../../formats/files/tar.ts';
import { absentFromArchive } from '../../options/archiveWords.ts';
import { copyProjectOut } from '../../store/archive/projectCopy.ts';
import type { KeptChat } from '../../store/chats.ts';
import type { ReadableDatabase } from '../../store/database.ts';
import { readScoring } from '../../store/queue.ts';
import { listRuns } from '../../store/runs.ts';
import type { ServiceContext } from '../context.ts';
import { typedPath } from '../homePaths.ts';
import { cancelled, checkFreeSpace, filesIn, partsOfFile, writeAll } from '../machine/disk.ts';
import { studioVersion } from '../machine/machine.ts';
import { byteProgress, endProgress } from '../progress.ts';
import { archiveFile, archiveFormat, databaseName, hashesName, manifestName } from './archiveLayout.ts';

/**
 * Writes a project into one file: rows, checkpoints, what runs began with. Streamed, complete or absent; an existing
 * file is never written over.
 * @throws StudioError busy while a run of it trains; name_taken, disk_full; cancelled
 */
export async function exportProject(
  context: ServiceContext,
  project: string,
  given: string,
  signal: AbortSignal,
): Promise<ExportedProject> {
  const { paths, database } = context;
  const file = typedPath(given);
  if (existsSync(file))
    throw new StudioError(
      'name_taken',
      `${file} exists already.`,
      'Choose another name: nothing is overwritten.',
    );
  const training = listRuns(database, project).find(({ state }) => state === 'running');
  if (training)
    throw new StudioError(
      'busy',
      `The run "${training.name}" of the project is training: its files change.`,
      'Wait for its end, or pause it.',
    );
  mkdirSync(dirname(file), { recursive: true });
  const scratch = mkdtempSync(`${file}.`);
  const partial = `${file}.${process.pid}.partial`;
  const task = `archive ${given}`;
  try {
    const copy = join(scratch, databaseName);
    const contents = copyProjectOut(paths.database, project, copy, { run: told, chat: toldChat });
    const waiting = waitingOf(database, project);
    const named = {
      models: contents.models.map(({ name }) => name),
      datasets: contents.datasets.map(({ name }) => name),
      waiting,
    };
    const files = [{ name: databaseName, path: copy, size: statSync(copy).size }];
    for (const { id } of contents.runs)
      for (const { path, bytes } of await filesIn(paths.runFolder(id))) {
        const name = `runs/${id}/${relative(paths.runFolder(id), path).split(sep).join('/')}`;
        // A checkpoint that is being written has another name.
        if (archiveFile.test(name)) files.push({ name, path, size: bytes });
      }
    const manifest = Buffer.from(
      JSON.stringify({
        ...archiveFormat,
        studio: studioVersion,
        createdAt: new Date().toISOString(),
        title: contents.project.title,
        absent: absentFromArchive(named),
        files: files.map(({ name, size }) => ({ name, size })),
      }),
    );
    const total = files.reduce((sum, { size }) => sum + tarredBytes(size), 0);
    checkFreeSpace(dirname(file), total, 'The archive');
    const report = byteProgress(context, task, `Writing ${basename(file)}`);
    const hashes: Record<string, string> = {};
    const handle = await open(partial, 'wx');
    try {
      const whole = async (name: string, bytes: Buffer) => {
        for (const part of [tarHeader(name, bytes.length), bytes, tarPadding(bytes.length)])
          await writeAll(handle, part);
      };
      await whole(manifestName, manifest);
      let done = 0;
      for (const { name, path, size } of files) {
        await writeAll(handle, tarHeader(name, size));
        const hash = createHash('sha256');
        let written = 0;
        for await (const part of partsOfFile(path, signal, 'The export')) {
          hash.update(part);
          await writeAll(handle, part);
          report((done += part.length), total);
          written += part.length;
        }
        if (written !== size)
          throw new StudioError(
            'busy',
            `${name} changed while it was read.`,
            'Export once more, with no run training.',
          );
        await writeAll(handle, tarPadding(size));
        hashes[name] = hash.digest('hex');
      }
      await whole(hashesName, Buffer.from(JSON.stringify(hashes)));
      await writeAll(handle, tarEnd);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (signal.aborted) throw cancelled('The export');
    if (existsSync(file))
      throw new StudioError(
        'name_taken',
        `${file} exists by now.`,
        'Choose another name: nothing is overwritten.',
      );
    renameSync(partial, file);
    syncFolder(dirname(file));
    return {
      file,
      sizeBytes: statSync(file).size,
      runs: contents.runs.length,
      ...named,
    };
  } finally {
    rmSync(partial, { force: true });
    rmSync(scratch, { recursive: true, force: true });
    endProgress(context, task);
  }
}

/** A run as others see it: no folder of this machine, and not in a queue that is not there. */
function told(run: Run): Run {
  const { imported } = run;
  const isLocal = imported !== null && !imported.source.startsWith('hub/');
  return {
    ...run,
    ...(run.state === 'queued' && {
      state: 'interrupted' as const,
      resumable: true,
      resumesAnew: run.step === 0,
    }),
    ...(isLocal && { imported: { ...imported, source: basename(imported.source) } }),
  };
}

/** A chat as others see it: a column with an adapter from a folder has its name, and no path of this machine. */
function toldChat({ chat, asked }: KeptChat): KeptChat {
  const isFolder = (column: number) => chat.columns[column]?.runId === null;
  const shortened = (text: string) => text.split(/[\\/]/).findLast((part) => part !== '') ?? text;
  return {
    chat: {
      ...chat,
      columns: chat.columns.map((own, i) => (isFolder(i) ? { ...own, name: shortened(own.name) } : own)),
    },
    asked: {
      ...asked,
      columns: asked.columns.map((own, i) =>
        isFolder(i) && own.adapter !== null ? { ...own, adapter: shortened(own.adapter) } : own,
      ),
    },
  };
}

/** How many runs and scores of the project wait for their turn. */
function waitingOf(database: ReadableDatabase, project: string): number {
  const runs = listRuns(database, project).filter(({ state }) => state === 'queued').length;
  const { running, waiting } = readScoring(database);
  const scores = [...running, ...waiting].filter((entry) => entry.project === project);
  return runs + scores.length;
}
