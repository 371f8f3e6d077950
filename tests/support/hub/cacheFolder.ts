import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Puts a folder's files into a Hugging Face cache as its programs do: blobs by hash, a snapshot of links to them. */
export function addToCache(
  cache: string,
  repository: string,
  source: string,
  { commit = 'a'.repeat(40), ref = 'main' }: { commit?: string; ref?: string | null } = {},
): string {
  const folder = join(cache, `models--${repository.replaceAll('/', '--')}`);
  const snapshot = join(folder, 'snapshots', commit);
  const blobs = join(folder, 'blobs');
  for (const path of [snapshot, blobs, join(folder, 'refs')]) mkdirSync(path, { recursive: true });
  for (const name of readdirSync(source)) {
    const content = readFileSync(join(source, name));
    const blob = join(blobs, createHash('sha256').update(content).digest('hex'));
    writeFileSync(blob, content);
    symlinkSync(relative(snapshot, blob), join(snapshot, name));
  }
  if (ref !== null) writeFileSync(join(folder, 'refs', ref), commit);
  return snapshot;
}
