import { projectSchema, type Project } from '../contract/entities.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { isKept } from './trash.ts';

/** A project that was made by naming it has no title of its own. */
const select = `
  SELECT
    name,
    CASE title WHEN '' THEN name ELSE title END AS title,
    question,
    benchmark,
    max_trainable AS maxTrainable,
    created_at AS createdAt,
    (SELECT count(*) FROM runs WHERE project = projects.name)
      - (SELECT count(*) FROM trash CROSS JOIN runs ON runs.id = trash.id WHERE project = projects.name) AS runs,
    (SELECT count(*) FROM runs WHERE project = projects.name AND state IN ('running', 'queued') AND ${isKept()}) AS activeRuns
  FROM projects`;

const read = (row: unknown): Project => projectSchema.parse(row);

/** By title. */
export function listProjects({ readable }: ReadableDatabase): Project[] {
  return readable.prepare(`${select} ORDER BY title COLLATE NOCASE`).all().map(read);
}

/** By name, else by title. */
export function findProject({ readable }: ReadableDatabase, reference: string): Project | null {
  const row = readable
    .prepare(`${select} WHERE name = ? OR title = ? ORDER BY name = ? DESC LIMIT 1`)
    .get(reference, reference, reference);
  return row === undefined ? null : read(row);
}

/** Name of the project that was opened last; null: none yet. */
export function lastOpenedProject({ readable }: ReadableDatabase): string | null {
  const row = readable
    .prepare("SELECT name FROM projects WHERE opened_at <> '' ORDER BY opened_at DESC LIMIT 1")
    .get();
  return row === undefined ? null : (row as { name: string }).name;
}

export function markOpened({ writable }: WritableDatabase, name: string): void {
  writable.prepare('UPDATE projects SET opened_at = ? WHERE name = ?').run(new Date().toISOString(), name);
}

/** Makes the project if it does not exist yet. */
export function ensureProject({ writable }: WritableDatabase, name: string): void {
  writable
    .prepare('INSERT INTO projects (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING')
    .run(name, new Date().toISOString());
}

/** Writes title, question and limits of an existing project. */
export function updateProject(
  { writable }: WritableDatabase,
  project: Pick<Project, 'name' | 'title' | 'question' | 'benchmark' | 'maxTrainable'>,
): void {
  writable
    .prepare('UPDATE projects SET title = ?, question = ?, benchmark = ?, max_trainable = ? WHERE name = ?')
    .run(project.title, project.question, project.benchmark, project.maxTrainable, project.name);
}
