import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { readJsonObject } from '../../formats/files/jsonFile.ts';

/** What a person changed of a row. */
const rowEditSchema = z.object({
  /** The fields that say something else now; a field that is null says nothing. */
  values: z.record(z.string(), z.unknown()).optional(),
  /** It is left out. */
  excluded: z.literal(true).optional(),
  tags: z.array(z.string().min(1).max(60)).max(20).optional(),
});
export type RowEdit = z.infer<typeof rowEditSchema>;

/** Changes over a copy, by the number of the row among all its rows. */
export type Edits = ReadonlyMap<number, RowEdit>;

const layerSchema = z.object({ edits: z.array(z.tuple([z.number().int(), rowEditSchema])) });

const largestLayer = 256 * 1024 * 1024;

export function editFile(folder: string, hash: string): string {
  return join(folder, `${hash}.edits`);
}

let last: { path: string; edits: Edits } | null = null;

/** @param hash identity of the layer; null: there are no edits */
export function readEdits(folder: string, hash: string | null): Edits {
  if (hash === null) return new Map();
  const path = editFile(folder, hash);
  // Named by its content: what was read once stays right.
  if (last?.path !== path)
    last = {
      path,
      edits: new Map(layerSchema.parse(readJsonObject(path, largestLayer, 'dataset_invalid')).edits),
    };
  return last.edits;
}

/** Identity of a layer; null where nothing is changed. */
export function editsHash(edits: Edits): string | null {
  return edits.size === 0 ? null : createHash('sha256').update(layerText(edits)).digest('hex');
}

/** Writes a layer under its hash. */
export function writeEdits(folder: string, edits: Edits): void {
  const hash = editsHash(edits);
  if (hash === null) return;
  const path = editFile(folder, hash);
  writeFileAtomic(path, layerText(edits));
  // The next edit is of the same rows.
  last = { path, edits };
}

function layerText(edits: Edits): string {
  return JSON.stringify({ edits: [...edits].sort(([a], [b]) => a - b) });
}

/** A row as it was edited. */
export function applyEdit(value: unknown, edit: RowEdit | undefined): unknown {
  if (!edit?.values || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries({ ...value, ...edit.values }));
}
