import { runSchema, type Run } from '../contract/entities.ts';
import type { ListSlice, SliceRequest } from '../contract/listSlices.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { readSlice } from './slices.ts';
import { isKept } from './trash.ts';

/** The columns that make a run: name, notes and tags are a person's, the entity is what the studio records. */
const columns = 'id, entity, name, notes, tags';
type Annotations = Pick<Run, 'name' | 'notes' | 'tags'>;

function annotationsOf(row: unknown): Annotations {
  const { name, notes, tags } = row as { name: string; notes: string; tags: string };
  return { name, notes, tags: JSON.parse(tags) as string[] };
}

function read(row: unknown): Run {
  const entity = JSON.parse((row as { entity: string }).entity) as object;
  return runSchema.parse({ ...entity, ...annotationsOf(row) });
}

/** Newest first. */
export function listRuns({ readable }: ReadableDatabase, project: string): Run[] {
  return readable
    .prepare(
      `SELECT ${columns} FROM runs WHERE project = ? AND ${isKept()} ORDER BY created_at DESC, rowid DESC`,
    )
    .all(project)
    .map(read);
}

/** Some of them, newest first. */
export function sliceRuns(
  database: ReadableDatabase,
  project: string,
  request: SliceRequest,
): ListSlice<Run> {
  return readSlice(database, { table: 'runs', columns, read, project, request });
}

/**
 * A run's trainable parameters, without reading all else of it; null where there is no such run, or they are not
 * counted yet.
 */
export function trainableOf({ readable }: ReadableDatabase, id: string): number | null {
  const found = readable.prepare("SELECT entity ->> '$.trainable' FROM runs WHERE id = ?").pluck().get(id);
  return typeof found === 'number' ? found : null;
}

/** Runs of all projects. */
export function listAllRuns({ readable }: ReadableDatabase): Run[] {
  return readable.prepare(`SELECT ${columns} FROM runs WHERE ${isKept()}`).all().map(read);
}

/** Of all projects, newest first. */
export function newestRuns({ readable }: ReadableDatabase, most: number): Run[] {
  return readable
    .prepare(`SELECT ${columns} FROM runs WHERE ${isKept()} ORDER BY created_at DESC LIMIT ?`)
    .all(most)
    .map(read);
}

/**
 * By id, else by name within the project: ids are the same everywhere, so that a job of another project can be reached.
 */
export function findRun({ readable }: ReadableDatabase, project: string, reference: string): Run | null {
  const row = readable
    .prepare(
      `SELECT ${columns} FROM runs WHERE (id = ? OR (project = ? AND name = ?)) AND ${isKept()} ORDER BY id = ? DESC LIMIT 1`,
    )
    .get(reference, project, reference, reference);
  return row === undefined ? null : read(row);
}

export function insertRun({ writable }: WritableDatabase, run: Run): void {
  writable
    .prepare(
      'INSERT INTO runs (id, project, name, state, created_at, entity, notes, tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    )
    .run(
      run.id,
      run.project,
      run.name,
      run.state,
      run.createdAt,
      JSON.stringify(run),
      run.notes,
      JSON.stringify(run.tags),
    );
}

/** Writes what the studio records of a run. @returns it with the name, notes and tags that it has now */
export function updateRun({ writable }: WritableDatabase, run: Run): Run {
  const row = writable
    .prepare('UPDATE runs SET state = ?, entity = ? WHERE id = ? RETURNING name, notes, tags')
    .get(run.state, JSON.stringify(run), run.id);
  return row === undefined ? run : { ...run, ...annotationsOf(row) };
}

/** Writes what a person says of a run. */
export function annotateRun(
  { writable }: WritableDatabase,
  id: string,
  { name, notes, tags }: Annotations,
): void {
  writable
    .prepare('UPDATE runs SET name = ?, notes = ?, tags = ? WHERE id = ?')
    .run(name, notes, JSON.stringify(tags), id);
}

/** Removes a run with its metrics, evaluations and exports. */
export function removeRun({ writable }: WritableDatabase, id: string): void {
  writable.prepare('DELETE FROM runs WHERE id = ?').run(id);
}

/** Runs of all projects in a state. */
export function runsInState({ readable }: ReadableDatabase, state: Run['state']): Run[] {
  return readable.prepare(`SELECT ${columns} FROM runs WHERE state = ? AND ${isKept()}`).all(state).map(read);
}
