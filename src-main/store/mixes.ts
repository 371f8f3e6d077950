import { mixSchema, type Mix } from '../contract/mixing/mixes.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { isKept } from './trash.ts';

const read = (row: unknown): Mix => mixSchema.parse(JSON.parse((row as { entity: string }).entity));

/** Mixes of a project by name. */
export function listMixes({ readable }: ReadableDatabase, project: string): Mix[] {
  return readable
    .prepare(`SELECT entity FROM mixes WHERE project = ? AND ${isKept()} ORDER BY name`)
    .all(project)
    .map(read);
}

/** Mixes of all projects. */
export function listAllMixes({ readable }: ReadableDatabase): Mix[] {
  return readable.prepare(`SELECT entity FROM mixes WHERE ${isKept()} ORDER BY name`).all().map(read);
}

/** By id, else by name within the project. */
export function findMix({ readable }: ReadableDatabase, project: string, reference: string): Mix | null {
  const row = readable
    .prepare(
      `SELECT entity FROM mixes WHERE (id = ? OR (project = ? AND name = ?)) AND ${isKept()} ORDER BY id = ? DESC LIMIT 1`,
    )
    .get(reference, project, reference, reference);
  return row === undefined ? null : read(row);
}

export function insertMix({ writable }: WritableDatabase, mix: Mix): void {
  writable
    .prepare('INSERT INTO mixes (id, project, name, entity) VALUES (?, ?, ?, ?)')
    .run(mix.id, mix.project, mix.name, JSON.stringify(mix));
}

/** Writes a mix over the one that has its id. */
export function updateMix({ writable }: WritableDatabase, mix: Mix): void {
  writable
    .prepare('UPDATE mixes SET name = ?, entity = ? WHERE id = ?')
    .run(mix.name, JSON.stringify(mix), mix.id);
}
