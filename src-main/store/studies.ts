import { studySchema, type Study } from '../contract/studies.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { isKept } from './trash.ts';

const read = (row: unknown): Study => studySchema.parse(JSON.parse((row as { entity: string }).entity));

/** Newest first. */
export function listStudies({ readable }: ReadableDatabase, project: string): Study[] {
  return readable
    .prepare(
      `SELECT entity FROM studies WHERE project = ? AND ${isKept()} ORDER BY created_at DESC, rowid DESC`,
    )
    .all(project)
    .map(read);
}

/** By id, else by name within the project. */
export function findStudy({ readable }: ReadableDatabase, project: string, reference: string): Study | null {
  const row = readable
    .prepare(
      `SELECT entity FROM studies WHERE (id = ? OR (project = ? AND name = ?)) AND ${isKept()} ORDER BY id = ? DESC LIMIT 1`,
    )
    .get(reference, project, reference, reference);
  return row === undefined ? null : read(row);
}

export function insertStudy({ writable }: WritableDatabase, study: Study): void {
  writable
    .prepare('INSERT INTO studies (id, project, name, created_at, entity) VALUES (?, ?, ?, ?, ?)')
    .run(study.id, study.project, study.name, study.createdAt, JSON.stringify(study));
}
