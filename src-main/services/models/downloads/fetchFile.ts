import { createHash, type Hash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { StudioError } from '../../../contract/errors.ts';
import { syncFolder } from '../../../formats/files/atomicFile.ts';
import { invalidAnswer } from '../hub/hubErrors.ts';
import type { RemoteFile } from '../hub/hubFile.ts';
import type { ListedFile } from '../hub/repository.ts';
import { cancelled, partsOfFile, writeAll } from '../../machine/disk.ts';

/** Waits before a broken connection is tried again; each part that comes begins the row anew. */
const retryDelaysMs = [1000, 2000, 5000, 15_000];

export interface FileToFetch {
  file: ListedFile;
  /** Where the verified file is to stand. */
  path: string;
  /** Asks for the file from a byte on. */
  openFrom(from: number): Promise<RemoteFile>;
  /** Bytes of this file that are there. */
  onBytes(done: number): void;
  signal: AbortSignal;
}

/**
 * Downloads a file: complete and verified, or absent. What came stays in `<path>.partial` and is gone on with later,
 * unless the file on the Hub is another one by then.
 * @throws StudioError hub_invalid where the content is not what the list promised; cancelled; as `openFrom` does
 */
export async function fetchFile(wanted: FileToFetch): Promise<void> {
  const { file, path, signal } = wanted;
  if (existsSync(path)) return;
  const partial = `${path}.partial`;
  let failures = 0;
  let hasBegunAnew = false;
  for (;;) {
    const before = sizeOf(partial);
    try {
      await receive(wanted, partial);
      if ((await hashOf(partial, file, signal)) === (file.sha256 ?? file.gitSha1)) break;
      remove(partial);
      // What was there from before may have been damaged on this disk: once more from the start tells.
      if (before === 0 || hasBegunAnew)
        throw invalidAnswer(`${file.name} came with another content than its hash promises, and was deleted`);
      hasBegunAnew = true;
    } catch (error) {
      const isBroken = error instanceof StudioError && error.code === 'hub_unreachable';
      if (!isBroken || signal.aborted) throw error;
      failures = sizeOf(partial) > before ? 1 : failures + 1;
      const delay = retryDelaysMs[failures - 1];
      if (delay === undefined) throw error;
      await wait(delay, undefined, { signal }).catch(() => {
        throw cancelled('The download');
      });
    }
  }
  await rename(partial, path);
  rmSync(`${partial}.etag`, { force: true });
  syncFolder(dirname(path));
}

/** Brings the partial file to its whole length. */
async function receive({ file, openFrom, onBytes, signal }: FileToFetch, partial: string): Promise<void> {
  const tagFile = `${partial}.etag`;
  if (sizeOf(partial) > file.sizeBytes) remove(partial);
  let have = sizeOf(partial);
  onBytes(have);
  // A whole one waits for its check; an empty one is asked for, so that it exists.
  if (have === file.sizeBytes && existsSync(partial)) return;
  let remote = await openFrom(have);
  const knownTag = existsSync(tagFile) ? readFileSync(tagFile, 'utf8') : null;
  if (remote.start > 0 && knownTag !== null && remote.etag !== knownTag) {
    await remote.parts.return(undefined);
    remove(partial);
    remote = await openFrom(0);
  }
  const target = await open(partial, remote.start === 0 ? 'w' : 'a');
  try {
    if (remote.etag !== null) await writeFile(tagFile, remote.etag);
    have = remote.start;
    for await (const part of remote.parts) {
      if (signal.aborted) throw cancelled('The download');
      if (have + part.length > file.sizeBytes)
        throw invalidAnswer(`${file.name} is longer than the ${file.sizeBytes} bytes that the list says`);
      await writeAll(target, part);
      onBytes((have += part.length));
    }
    await target.sync();
  } finally {
    await target.close();
  }
  if (have < file.sizeBytes)
    throw new StudioError(
      'hub_unreachable',
      `The connection ended after ${have} of the ${file.sizeBytes} bytes of ${file.name}.`,
      'Resume the download: what is there is kept.',
    );
}

/** SHA-256, or for small files Git's hash of a blob. */
async function hashOf(path: string, file: ListedFile, signal: AbortSignal): Promise<string> {
  const hash: Hash =
    file.sha256 !== null ? createHash('sha256') : createHash('sha1').update(`blob ${file.sizeBytes}\0`);
  for await (const part of partsOfFile(path, signal, 'The download')) hash.update(part);
  return hash.digest('hex');
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function remove(partial: string): void {
  rmSync(partial, { force: true });
  rmSync(`${partial}.etag`, { force: true });
}
