import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Model } from '../../../contract/entities.ts';
import { StudioError, toPlainError, type PlainError } from '../../../contract/errors.ts';
import type { ProcedureHandlers } from '../../../contract/procedures.ts';
import type { Download } from '../../../contract/modelLibrary.ts';
import { models as modelTable } from '../../../store/library.ts';
import { byteProgress, endProgress } from '../../progress.ts';
import { missing, newId, type ServiceContext } from '../../context.ts';
import type { HubService } from '../hub/hub.ts';
import { openHubFile } from '../hub/hubFile.ts';
import { cancelled, checkFreeSpace } from '../../machine/disk.ts';
import type { ModelService } from '../models.ts';
import {
  downloadedFiles,
  downloadFolder,
  listRecords,
  presentBytes,
  totalBytes,
  writeRecord,
  type DownloadRecord,
} from './downloadRecord.ts';
import { fetchFile } from './fetchFile.ts';

export interface StartedDownload {
  download: Download;
  /** The model, when it is complete and in the library. */
  ended: Promise<Model>;
}

export interface DownloadService {
  list(): Download[];
  /** @throws StudioError as the Hub says; model_unsupported and the like before a byte of weights; disk_full */
  start(
    options: { repository: string; revision?: string | undefined; name?: string | undefined },
    signal: AbortSignal,
  ): Promise<StartedDownload>;
  cancel(id: string): Promise<Download>;
  resume(id: string): StartedDownload;
  discard(id: string): Promise<void>;
  /** Clears what a process left that died; what can be resumed stays. */
  recover(): void;
  /** Stops all: what is there is kept. */
  close(): void;
}

/** How far a download is that is under way. */
interface Progress {
  controller: AbortController;
  isChecking: boolean;
  doneBytes: number;
}

/**
 * Downloads of models from the Hub: each goes on after a stop, a crash or a restart, and ends as a complete model or
 * none.
 */
export function createDownloadService(
  context: ServiceContext,
  hub: HubService,
  models: ModelService,
): DownloadService {
  const { paths, database, emit } = context;
  const active = new Map<string, { progress: Progress; ended: Promise<Model> }>();
  /** Why the last attempt failed, by download; forgotten at a restart. */
  const failures = new Map<string, PlainError>();
  const changed = () => emit({ type: 'downloads.changed' });

  const describe = (record: DownloadRecord): Download => {
    const { id, repository, revision, commit, createdAt } = record;
    const running = active.get(id)?.progress;
    const error = running ? null : (failures.get(id) ?? null);
    return {
      id,
      repository,
      revision,
      commit,
      createdAt,
      error,
      state: running ? (running.isChecking ? 'checking' : 'running') : error ? 'failed' : 'stopped',
      doneBytes: running?.doneBytes ?? presentBytes(paths.models, record),
      totalBytes: totalBytes(record),
    };
  };

  const find = (id: string): DownloadRecord => {
    const { records } = listRecords(paths.models);
    const found = records.find((record) => record.id === id);
    if (!found)
      throw missing(
        'download',
        id,
        records.map((record) => record.id),
      );
    return found;
  };

  async function fetchAll(record: DownloadRecord, state: Progress): Promise<void> {
    const folder = downloadedFiles(paths.models, record.id);
    if (!existsSync(folder) && existsSync(join(paths.models, record.id))) return;
    mkdirSync(folder, { recursive: true });
    const total = totalBytes(record);
    const report = byteProgress(context, `download ${record.id}`, `Downloading ${record.repository}`);
    let complete = 0;
    for (const file of record.files) {
      await fetchFile({
        file,
        path: join(folder, file.name),
        signal: state.controller.signal,
        openFrom: (from) =>
          openHubFile(
            hub.access(),
            { repository: record.repository, commit: record.commit, name: file.name },
            from,
            state.controller.signal,
          ),
        onBytes(done) {
          state.doneBytes = complete + done;
          // The end is told when the model is checked, too.
          if (state.doneBytes < total) report(state.doneBytes, total);
        },
      });
      complete += file.sizeBytes;
      state.doneBytes = complete;
    }
  }

  async function work(record: DownloadRecord, state: Progress): Promise<Model> {
    const { id, repository, commit, name } = record;
    await fetchAll(record, state);
    state.isChecking = true;
    changed();
    const folder = downloadedFiles(paths.models, id);
    const model = await models.adopt(
      {
        id,
        folder: existsSync(folder) ? folder : join(paths.models, id),
        name,
        origin: { repository, commit },
      },
      `download ${id}`,
      state.controller.signal,
    );
    rmSync(downloadFolder(paths.models, id), { recursive: true, force: true });
    return model;
  }

  function run(record: DownloadRecord): StartedDownload {
    const { id } = record;
    const already = active.get(id);
    if (already) return { download: describe(record), ended: already.ended };
    context.writable();
    const present = presentBytes(paths.models, record);
    checkFreeSpace(paths.models, totalBytes(record) - present, `The download of ${record.repository}`);
    failures.delete(id);
    const progress: Progress = {
      controller: new AbortController(),
      isChecking: false,
      doneBytes: present,
    };
    const ended = work(record, progress)
      .catch((error: unknown) => {
        const isStopped = progress.controller.signal.aborted;
        const plain = toPlainError(isStopped ? cancelled('The download') : error);
        if (!isStopped) failures.set(id, plain);
        throw StudioError.fromPlain(plain);
      })
      .finally(() => {
        active.delete(id);
        endProgress(context, `download ${id}`);
        changed();
      });
    active.set(id, { progress, ended });
    // Whoever started it may not wait for it: its failure stands in the list.
    ended.catch(() => undefined);
    changed();
    return { download: describe(record), ended };
  }

  async function stop(id: string): Promise<void> {
    const running = active.get(id);
    running?.progress.controller.abort();
    await running?.ended.catch(() => undefined);
  }

  return {
    list: () => listRecords(paths.models).records.map(describe),

    async start({ repository, revision, name }, signal) {
      context.writable();
      const plan = await hub.plan(repository, revision, signal);
      if (plan.unusable) throw StudioError.fromPlain(plan.unusable);
      const same = modelTable
        .list(database)
        .find(({ origin }) => origin?.repository === plan.repository && origin.commit === plan.commit);
      if (same)
        throw new StudioError(
          'name_taken',
          `${plan.repository} at this revision is already in the library as "${same.name}".`,
          'Use it, or remove it first.',
        );
      const begun = listRecords(paths.models).records.find(
        (record) => record.repository === plan.repository && record.commit === plan.commit,
      );
      if (begun) {
        const renamed = { ...begun, name: name ?? begun.name };
        writeRecord(paths.models, renamed);
        return run(renamed);
      }
      const record: DownloadRecord = {
        id: newId(),
        repository: plan.repository,
        revision: plan.revision,
        commit: plan.commit,
        name: name ?? null,
        files: plan.files,
        createdAt: new Date().toISOString(),
      };
      checkFreeSpace(paths.models, totalBytes(record), `The download of ${plan.repository}`);
      writeRecord(paths.models, record);
      return run(record);
    },

    async cancel(id) {
      const record = find(id);
      await stop(id);
      return describe(record);
    },
    resume: (id) => run(find(id)),
    async discard(id) {
      find(id);
      await stop(id);
      failures.delete(id);
      rmSync(downloadFolder(paths.models, id), { recursive: true, force: true });
      // One that had ended just before is a model now, and stays.
      if (!modelTable.find(database, id)) rmSync(join(paths.models, id), { recursive: true, force: true });
      changed();
    },
    recover() {
      const { records, broken } = listRecords(paths.models);
      // Without its record a download cannot be gone on with.
      for (const folder of broken) rmSync(folder, { recursive: true, force: true });
      for (const { id } of records)
        if (modelTable.find(database, id))
          rmSync(downloadFolder(paths.models, id), { recursive: true, force: true });
    },
    close() {
      for (const { progress } of active.values()) progress.controller.abort();
    },
  };
}

/** What callers ask of them. */
export const downloadHandlers = (downloads: DownloadService) =>
  ({
    'models.downloads': () => downloads.list(),
    'models.download': async (input, { signal }) => (await downloads.start(input, signal)).download,
    'models.cancelDownload': ({ download }) => downloads.cancel(download),
    'models.resumeDownload': ({ download }) => downloads.resume(download).download,
    'models.discardDownload': async ({ download }) => {
      await downloads.discard(download);
      return {};
    },
  }) satisfies Partial<ProcedureHandlers>;
