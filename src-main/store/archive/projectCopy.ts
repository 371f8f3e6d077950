import Sqlite from 'better-sqlite3';
import { z } from 'zod';
import {
  datasetSchema,
  modelSchema,
  projectSchema,
  runSchema,
  type Dataset,
  type Model,
  type Project,
  type Run,
} from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import { keptChatSchema, type KeptChat } from '../chats.ts';
import { migrations, openWritable } from '../database.ts';
import { isKept } from '../trash.ts';

/**
 * A project's rows as a database of their own, with the models and datasets that they name as references: what an
 * archive carries. Its schema is the studio's, so that an older copy is upgraded as an older data folder is.
 */

/** Tables whose rows belong to a run, to an evaluation, to two of them. */
export const runTables = [
  ...['step_metrics', 'eval_metrics', 'source_metrics', 'run_logs', 'samples'],
  ...['router_layouts', 'router_records'],
];
export const evaluationTables = ['evaluation_items', 'overrides'];
export const pairTables = ['preferences', 'judgments'];

/** Ids become names of folders. */
export const idPattern = /^[\w-]{1,64}$/;

/** A table's columns, without row numbers that mean nothing elsewhere. */
export function columnsOf(database: Sqlite.Database, table: string): string {
  const columns = database.prepare('SELECT name, type, pk FROM pragma_table_info(?)').all(table) as {
    name: string;
    type: string;
    pk: number;
  }[];
  return columns
    .filter(({ name, type, pk }) => !(name === 'id' && type === 'INTEGER' && pk === 1))
    .map(({ name }) => name)
    .join(', ');
}

/**
 * Writes a project's rows, as they are at one moment, into a new database.
 * @param source path of the studio's database
 * @param told what of a run and of a chat is told elsewhere
 */
export function copyProjectOut(
  source: string,
  project: string,
  out: string,
  told: { run: (run: Run) => Run; chat: (chat: KeptChat) => KeptChat },
): ProjectContents {
  const { writable: target } = openWritable(out);
  try {
    target.pragma('journal_mode = DELETE');
    target.prepare('ATTACH ? AS source').run(source);
    target.transaction(() => {
      const copy = (table: string, condition: string, ...values: string[]) => {
        const columns = columnsOf(target, table);
        target
          .prepare(
            `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM source.${table} WHERE ${condition}`,
          )
          .run(...values);
      };
      const kept = 'id NOT IN (SELECT id FROM source.trash)';
      copy('projects', 'name = ?', project);
      copy('runs', `project = ? AND ${kept}`, project);
      copy('evaluations', 'project = ? AND (run_id IS NULL OR run_id IN (SELECT id FROM runs))', project);
      for (const table of ['mixes', 'studies']) copy(table, `project = ? AND ${kept}`, project);
      copy('chats', 'project = ?', project);
      for (const table of runTables) copy(table, 'run_id IN (SELECT id FROM runs)');
      for (const table of evaluationTables) copy(table, 'evaluation_id IN (SELECT id FROM evaluations)');
      for (const table of pairTables)
        copy(table, 'a IN (SELECT id FROM evaluations) AND b IN (SELECT id FROM evaluations)');
      const isIn = (text: string, tables = ['runs', 'evaluations', 'mixes', 'studies', 'chats']) =>
        tables
          .map((table) => `EXISTS (SELECT 1 FROM ${table} WHERE instr(${table}.entity, ${text}))`)
          .join(' OR ');
      copy('models', `${kept} AND (${isIn('source.models.id')})`);
      // A score keeps the name by which its data was asked for.
      const asked = isIn(`'"dataset":' || json_quote(source.datasets.name)`, ['evaluations']);
      copy('datasets', `${kept} AND (${isIn('source.datasets.id')} OR ${asked})`);
      rewrite(target, 'runs', (entity) => told.run(runSchema.parse(entity)));
      rewrite(target, 'chats', (entity) => told.chat(keptChatSchema.parse(entity)));
      // Where files lie on this machine is of no use on another.
      rewrite(target, 'models', (entity) => ({ ...modelSchema.parse(entity), folder: '', copied: false }));
      rewrite(target, 'datasets', (entity) => {
        const dataset = datasetSchema.parse(entity);
        return { ...dataset, sourcePath: dataset.name, inPlace: null };
      });
      target.prepare("UPDATE projects SET opened_at = ''").run();
    })();
    target.prepare('DETACH source').run();
    return contentsOf(target);
  } finally {
    target.close();
  }
}

function rewrite(database: Sqlite.Database, table: string, change: (entity: unknown) => object): void {
  const update = database.prepare(`UPDATE ${table} SET entity = ? WHERE rowid = ?`);
  for (const { id, entity } of database.prepare(`SELECT rowid AS id, entity FROM ${table}`).all() as {
    id: number;
    entity: string;
  }[])
    update.run(JSON.stringify(change(JSON.parse(entity))), id);
}

export interface ProjectContents {
  project: Project;
  runs: Run[];
  models: Model[];
  datasets: Dataset[];
  /** Null: it has none. */
  chat: KeptChat | null;
}

/** What a copy holds, each of it checked. @throws ZodError for rows that are none */
export function contentsOf(database: Sqlite.Database): ProjectContents {
  const entities = (table: string) =>
    (database.prepare(`SELECT entity FROM ${table} ORDER BY rowid`).all() as { entity: string }[]).map(
      ({ entity }) => JSON.parse(entity) as object,
    );
  const project = database
    .prepare(
      `SELECT name, CASE title WHEN '' THEN name ELSE title END AS title, question, benchmark,
         max_trainable AS maxTrainable, created_at AS createdAt, 0 AS runs, 0 AS activeRuns FROM projects`,
    )
    .all();
  const chats = z.array(keptChatSchema).max(1).parse(entities('chats'));
  const runs = database
    .prepare(`SELECT id, entity, name, notes, tags FROM runs WHERE ${isKept()}`)
    .all() as Record<'id' | 'entity' | 'name' | 'notes' | 'tags', string>[];
  const withIds = <T extends { id: string }>(all: T[]): T[] =>
    z.array(z.looseObject({ id: z.string().regex(idPattern) })).parse(all) as unknown as T[];
  return {
    project: z.array(projectSchema).length(1).parse(project)[0]!,
    runs: withIds(
      runs.map(({ id, entity, name, notes, tags }) =>
        runSchema.parse({ ...(JSON.parse(entity) as object), id, name, notes, tags: JSON.parse(tags) }),
      ),
    ),
    models: withIds(entities('models').map((entity) => modelSchema.parse(entity))),
    datasets: withIds(entities('datasets').map((entity) => datasetSchema.parse(entity))),
    chat: chats[0] ?? null,
  };
}

/**
 * Opens a copy that came from elsewhere: only where its tables are exactly those that the studio makes, so that no
 * trigger or view of a stranger ever runs. An older one is upgraded.
 * @throws StudioError archive_invalid; store_from_future
 */
export function openProjectCopy(path: string): Sqlite.Database {
  const refused = (what: string) =>
    new StudioError(
      'archive_invalid',
      `The project's database in the archive ${what}.`,
      'Nothing of it was taken in. Export the project anew, with the studio.',
    );
  try {
    const untrusted = new Sqlite(path, { readonly: true, fileMustExist: true });
    try {
      untrusted.pragma('trusted_schema = OFF');
      const version = untrusted.pragma('user_version', { simple: true }) as number;
      if (version > migrations.length)
        throw new StudioError(
          'store_from_future',
          `The archive was made by a newer studio (schema ${version}, this one knows ${migrations.length}).`,
          'Update the studio, then import it.',
        );
      if (version < 1 || schemaOf(untrusted) !== ownSchema(version))
        throw refused('has other tables than the studio makes');
      if (untrusted.pragma('integrity_check', { simple: true }) !== 'ok') throw refused('is damaged');
    } finally {
      untrusted.close();
    }
    return openWritable(path).writable;
  } catch (error) {
    if (error instanceof StudioError) throw error;
    throw refused(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function schemaOf(database: Sqlite.Database): string {
  return JSON.stringify(
    database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name').all(),
  );
}

function ownSchema(version: number): string {
  const database = new Sqlite(':memory:');
  try {
    for (const migration of migrations.slice(0, version)) migration.apply(database);
    return schemaOf(database);
  } finally {
    database.close();
  }
}
