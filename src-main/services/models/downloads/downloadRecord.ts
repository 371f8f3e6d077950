import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../../formats/files/atomicFile.ts';
import { readJsonObject } from '../../../formats/files/jsonFile.ts';

/**
 * A download on disk: `<models>/<id>.download/` with `download.json` and `files/`, where a file stands under its name
 * once it is complete and verified, and before that as `<name>.partial` with its tag in `<name>.partial.etag`. The
 * finished folder becomes `<models>/<id>`.
 */
const suffix = '.download';

/** Names were checked when the list came; what lies on a disk is checked again. */
const fileName = z.string().regex(/^\w[\w.-]*$/);
const recordSchema = z.object({
  id: z.string().regex(/^[0-9a-f]+$/),
  repository: z.string(),
  revision: z.string(),
  commit: z.string().regex(/^[0-9a-f]{40}$/),
  /** Wished name of the model; null: that of the repository. */
  name: z.string().nullable(),
  files: z.array(
    z.object({
      name: fileName,
      sizeBytes: z.number().int().min(0),
      sha256: z.string().nullable(),
      gitSha1: z.string().nullable(),
    }),
  ),
  createdAt: z.string(),
});
export type DownloadRecord = z.infer<typeof recordSchema>;

export function downloadFolder(models: string, id: string): string {
  return join(models, `${id}${suffix}`);
}

export function downloadedFiles(models: string, id: string): string {
  return join(downloadFolder(models, id), 'files');
}

export function writeRecord(models: string, record: DownloadRecord): void {
  writeFileAtomic(join(downloadFolder(models, record.id), 'download.json'), `${JSON.stringify(record)}\n`);
}

/** Records of all downloads in the folder, newest first; folders without a readable record are given apart. */
export function listRecords(models: string): { records: DownloadRecord[]; broken: string[] } {
  const names = existsSync(models) ? readdirSync(models).filter((name) => name.endsWith(suffix)) : [];
  const records: DownloadRecord[] = [];
  const broken: string[] = [];
  for (const name of names) {
    try {
      const path = join(models, name, 'download.json');
      const record = recordSchema.parse(readJsonObject(path, 16 * 1024 * 1024, 'model_invalid'));
      if (`${record.id}${suffix}` !== name) throw new Error('the record belongs to another folder');
      records.push(record);
    } catch {
      broken.push(join(models, name));
    }
  }
  records.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  return { records, broken };
}

/**
 * Bytes that are there, complete files and partial ones. A finished folder that only waits for the library counts
 * whole.
 */
export function presentBytes(models: string, record: DownloadRecord): number {
  const folder = downloadedFiles(models, record.id);
  if (!existsSync(folder) && existsSync(join(models, record.id))) return totalBytes(record);
  const sizeOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.size;
  return record.files.reduce((sum, { name, sizeBytes }) => {
    const path = join(folder, name);
    return sum + Math.min(sizeBytes, sizeOf(path) ?? sizeOf(`${path}.partial`) ?? 0);
  }, 0);
}

export function totalBytes({ files }: DownloadRecord): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
