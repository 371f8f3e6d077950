import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Mapping } from '../../contract/datasets/mapping.ts';
import type { Stretch } from '../../contract/entities.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';

/** Changes when rows are read otherwise than before. */
const readingVersion = 1;

/** All that decides what a dataset's rows say. */
export interface RowIdentity {
  sourceHash: string;
  mappings: readonly Mapping[];
  stretches: readonly Stretch[];
  /** Identity of the edits; null: there are none. */
  edits: string | null;
}

/** A dataset's content hash. */
export function rowIdentity({ sourceHash, mappings, stretches, edits }: RowIdentity): string {
  const parts = stretches.map(({ split, sourceRows }) => [split, sourceRows]);
  return createHash('sha256')
    .update(JSON.stringify([readingVersion, sourceHash, mappings, parts, edits]))
    .digest('hex');
}

/** Keeps which rows are not used beside the copy. */
export function writeSkipped(folder: string, contentHash: string, skipped: Uint32Array): void {
  if (skipped.length > 0)
    writeFileAtomic(join(folder, `${contentHash}.skipped`), [
      new Uint8Array(skipped.buffer, skipped.byteOffset, skipped.byteLength),
    ]);
}
