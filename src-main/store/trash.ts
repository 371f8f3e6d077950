import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** Tables whose entries can be removed and brought back; ids are unlike across all of them. */
export type RemovableKind = 'runs' | 'models' | 'datasets' | 'studies' | 'mixes';

/** Condition under which a row is not in the trash. @param column that holds the id */
export function isKept(column = 'id'): string {
  return `${column} NOT IN (SELECT id FROM trash)`;
}

export interface TrashedEntry {
  id: string;
  kind: RemovableKind;
  /** The name that it had. */
  name: string;
  /** As stored, to be parsed by its schema. */
  entity: unknown;
}

export function putInTrash({ writable }: WritableDatabase, kind: RemovableKind, id: string): void {
  writable.transaction(() => {
    writable
      .prepare(`INSERT INTO trash SELECT id, ?, name, ? FROM ${kind} WHERE id = ?`)
      .run(kind, new Date().toISOString(), id);
    writable.prepare(`UPDATE ${kind} SET name = id WHERE id = ?`).run(id);
  })();
}

/** @param name under which it comes back */
export function takeFromTrash(
  { writable }: WritableDatabase,
  { kind, id }: TrashedEntry,
  name: string,
): void {
  writable.transaction(() => {
    writable
      .prepare(`UPDATE ${kind} SET name = ?, entity = json_set(entity, '$.name', ?) WHERE id = ?`)
      .run(name, name, id);
    writable.prepare('DELETE FROM trash WHERE id = ?').run(id);
  })();
}

/** Forgets an entry for good, with all that hangs on it. */
export function deleteTrashed({ writable }: WritableDatabase, { kind, id }: TrashedEntry): void {
  writable.transaction(() => {
    writable.prepare(`DELETE FROM ${kind} WHERE id = ?`).run(id);
    writable.prepare('DELETE FROM trash WHERE id = ?').run(id);
  })();
}

/** What lies in the trash, first removed first. */
export function listTrash({ readable }: ReadableDatabase): TrashedEntry[] {
  const rows = readable.prepare('SELECT id, kind, name FROM trash ORDER BY removed_at, rowid').all() as Omit<
    TrashedEntry,
    'entity'
  >[];
  return rows.map((row) => {
    const entity = readable.prepare(`SELECT entity FROM ${row.kind} WHERE id = ?`).pluck().get(row.id);
    return { ...row, entity: JSON.parse(entity as string) as unknown };
  });
}
