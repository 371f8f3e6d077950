import type Sqlite from 'better-sqlite3';
import type { Dataset, Model, Project, Run } from '../../contract/entities.ts';
import { StudioError } from '../../contract/errors.ts';
import type { ImportedProject } from '../../contract/imports/archives.ts';
import { mixSchema } from '../../contract/mixing/mixes.ts';
import { evaluationSchema } from '../../contract/results.ts';
import { studySchema } from '../../contract/studies.ts';
import type { WritableDatabase } from '../database.ts';
import { keepChat, keptChatSchema, readChat, type KeptChat } from '../chats.ts';
import { datasets as datasetTable, models as modelTable } from '../library.ts';
import { ensureProject, listProjects, updateProject } from '../projects.ts';
import { findRun, insertRun } from '../runs.ts';
import { columnsOf, contentsOf, evaluationTables, idPattern, pairTables, runTables } from './projectCopy.ts';

export interface MergeRequest {
  /** A checked copy (openProjectCopy), and where it lies. */
  copy: Sqlite.Database;
  path: string;
  /** Project to merge into; null: the one that has some of its runs already, else a new one. */
  into: string | null;
  /** Where the folder of a model would lie that is not here. */
  absentFolder(id: string): string;
  /** Puts the files of runs into their places, as the last step; what it throws undoes all. */
  place(runIds: readonly string[]): void;
}

/**
 * Takes the rows of a copy in. What is here already by its id stays as it is here; names that are taken are told apart;
 * models and datasets are those of the library with the same content.
 */
export function mergeProject(database: WritableDatabase, request: MergeRequest): ImportedProject {
  const { writable } = database;
  const contents = contentsOf(request.copy);
  writable.prepare('ATTACH ? AS copy').run(request.path);
  try {
    return writable.transaction(() => merge(database, request, contents))();
  } finally {
    writable.prepare('DETACH copy').run();
  }
}

function merge(
  database: WritableDatabase,
  { into, absentFolder, place }: MergeRequest,
  contents: ReturnType<typeof contentsOf>,
): ImportedProject {
  const { writable } = database;
  const here = new Map(
    contents.runs.flatMap(({ id }) => {
      const known = runById(database, id);
      return known ? [[id, known] as const] : [];
    }),
  );
  const project = targetProject(database, into, contents, [...here.values()]);
  const ids = new Map<string, string>();
  const absent = {
    models: contents.models.filter((model) => !takeModel(database, model, ids, absentFolder)),
    datasets: contents.datasets.filter((dataset) => !takeDataset(database, dataset, ids)),
  };
  /** An entity as it is to stand here: in the project, with the ids of this library. */
  const adapted = (entity: object): object => {
    const text = JSON.stringify(entity).replace(/"[\w-]{1,64}"/g, (quoted) => {
      const id = ids.get(quoted.slice(1, -1));
      return id === undefined ? quoted : JSON.stringify(id);
    });
    return { ...(JSON.parse(text) as object), project };
  };

  const renamed: ImportedProject['renamed'] = [];
  const free = (kind: 'run' | 'mix' | 'study', table: string, name: string): string => {
    const isTaken = (wish: string) =>
      writable.prepare(`SELECT 1 FROM ${table} WHERE project = ? AND name = ?`).get(project, wish) !==
      undefined;
    if (!isTaken(name)) return name;
    for (let n = 2; ; n++)
      if (!isTaken(`${name}-${n}`)) {
        renamed.push({ kind, from: name, to: `${name}-${n}` });
        return `${name}-${n}`;
      }
  };

  const added = contents.runs.filter(({ id }) => !here.has(id));
  for (const run of added) {
    const mine = adapted(run) as Run;
    // No archive puts a run into the queue.
    const state = ['running', 'queued'].includes(run.state) ? 'interrupted' : run.state;
    insertRun(database, { ...mine, state, name: free('run', 'runs', run.name) });
  }
  for (const run of here.values()) retie(database, run, adapted);
  const list = JSON.stringify(added.map(({ id }) => id));
  for (const table of runTables) {
    const columns = columnsOf(writable, table);
    writable
      .prepare(
        `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM copy.${table} WHERE run_id IN (SELECT value FROM json_each(?))`,
      )
      .run(list);
  }
  const scores = mergeEvaluations(writable, project, adapted);
  const mixes = mergeNamed(writable, 'mixes', (entity) => {
    const mix = mixSchema.parse(entity);
    return { ...adapted(mix), name: free('mix', 'mixes', mix.name) };
  });
  const studies = mergeNamed(writable, 'studies', (entity) => {
    const study = studySchema.parse(entity);
    return { ...adapted(study), name: free('study', 'studies', study.name) };
  });
  const chat = mergeChat(
    database,
    project,
    contents.chat &&
      ownChat(database, keptChatSchema.parse(adapted(contents.chat)), {
        runs: new Set(contents.runs.map(({ id }) => id)),
        models: new Set(contents.models.map(({ id }) => ids.get(id) ?? id)),
      }),
  );
  place(added.map(({ id }) => id));
  return {
    project,
    title: listProjects(database).find(({ name }) => name === project)!.title,
    runs: { added: added.length, here: here.size },
    evaluations: scores,
    mixes,
    studies,
    chat,
    renamed,
    absentModels: absent.models.map(({ name, origin, contentHash, parameters }) => ({
      name,
      repository: origin?.repository ?? null,
      contentHash,
      parameters,
    })),
    absentDatasets: absent.datasets.map(({ name, contentHash, rows }) => ({ name, contentHash, rows })),
  };
}

/** Of whatever project, the trash included: ids are the same everywhere. */
function runById(database: WritableDatabase, id: string): Run | null {
  const row = database.writable.prepare('SELECT project FROM runs WHERE id = ?').get(id) as
    { project: string } | undefined;
  return row ? findRun(database, row.project, id) : null;
}

/** The project to merge into, made where there is none. */
function targetProject(
  database: WritableDatabase,
  into: string | null,
  { project }: ReturnType<typeof contentsOf>,
  here: readonly Run[],
): string {
  if (into !== null) return into;
  if (here[0]) return here[0].project;
  const others = listProjects(database);
  const isOf = (title: string) => (one: Project) =>
    [one.name, one.title].some((known) => known.toLowerCase() === title.toLowerCase());
  // One of that title in which nothing was done yet is as good as a new one.
  const empty = others.find((one) => isOf(project.title)(one) && isEmpty(database, one.name));
  let title = project.title;
  for (let n = 2; !empty && others.some(isOf(title)); n++) title = `${project.title.slice(0, 50)}-${n}`;
  if (empty) {
    updateProject(database, { ...project, name: empty.name, title: empty.title });
    return empty.name;
  }
  ensureProject(database, title);
  updateProject(database, { ...project, name: title, title });
  return title;
}

function isEmpty({ writable }: WritableDatabase, project: string): boolean {
  return ['runs', 'evaluations', 'mixes', 'studies'].every(
    (table) => writable.prepare(`SELECT 1 FROM ${table} WHERE project = ?`).get(project) === undefined,
  );
}

/** @returns whether the model is here; else its entry is, without a folder, until the model is added */
function takeModel(
  database: WritableDatabase,
  model: Model,
  ids: Map<string, string>,
  absentFolder: (id: string) => string,
): boolean {
  const all = modelTable.list(database);
  const own = all.find(({ id }) => id === model.id);
  const same = own ?? all.find(({ contentHash }) => contentHash === model.contentHash);
  if (same) {
    if (same.id !== model.id) ids.set(model.id, same.id);
    return true;
  }
  const name = freeLibraryName(all, model.name);
  modelTable.insert(database, { ...model, name, folder: absentFolder(model.id), unusable: null });
  return false;
}

/** @returns whether the dataset is here */
function takeDataset(database: WritableDatabase, dataset: Dataset, ids: Map<string, string>): boolean {
  const all = datasetTable.list(database);
  const same =
    all.find(({ id }) => id === dataset.id) ??
    all.find(({ contentHash }) => contentHash === dataset.contentHash);
  if (same && same.id !== dataset.id) ids.set(dataset.id, same.id);
  return same !== undefined;
}

function freeLibraryName(all: readonly { name: string }[], wish: string): string {
  let name = wish;
  for (let n = 2; all.some((one) => one.name === name); n++) name = `${wish}-${n}`;
  return name;
}

/** Ties a run that was imported before to a model or dataset that was added since. */
function retie({ writable }: WritableDatabase, run: Run, adapted: (entity: object) => object): void {
  const tied = { ...(adapted(run) as Run), project: run.project };
  if (
    tied.modelId !== run.modelId ||
    tied.datasetId !== run.datasetId ||
    JSON.stringify(tied.mix) !== JSON.stringify(run.mix)
  )
    writable.prepare('UPDATE runs SET entity = ? WHERE id = ?').run(JSON.stringify(tied), run.id);
}

/** A score that is here already, by its id or as the same question to the same files, is not taken a second time. */
function mergeEvaluations(
  writable: Sqlite.Database,
  project: string,
  adapted: (entity: object) => object,
): { added: number; here: number } {
  const rows = writable.prepare('SELECT * FROM copy.evaluations').all() as Record<
    string,
    string | number | null
  >[];
  const added: string[] = [];
  for (const row of rows) {
    const entity = evaluationSchema.parse(JSON.parse(String(row['entity'])));
    const known = writable
      .prepare('SELECT 1 FROM evaluations WHERE id = ? OR (project = ? AND cache_key = ?)')
      .get(row['id'], project, row['cache_key']);
    if (known !== undefined || !idPattern.test(entity.id) || entity.id !== row['id']) continue;
    const columns = columnsOf(writable, 'evaluations').split(', ');
    const values = { ...row, project, entity: JSON.stringify(adapted(entity)) } as typeof row;
    writable
      .prepare(
        `INSERT INTO evaluations (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`,
      )
      .run(...columns.map((name) => values[name]));
    added.push(entity.id);
  }
  const list = JSON.stringify(added);
  for (const table of evaluationTables) {
    const columns = columnsOf(writable, table);
    writable
      .prepare(
        `INSERT INTO ${table} (${columns}) SELECT ${columns} FROM copy.${table} WHERE evaluation_id IN (SELECT value FROM json_each(?))`,
      )
      .run(list);
  }
  for (const table of pairTables) {
    const columns = columnsOf(writable, table);
    const isHere = (column: string) => `${column} IN (SELECT id FROM evaluations)`;
    writable
      .prepare(
        `INSERT OR IGNORE INTO ${table} (${columns}) SELECT ${columns} FROM copy.${table} WHERE ${isHere('a')} AND ${isHere('b')}`,
      )
      .run();
  }
  return { added: added.length, here: rows.length - added.length };
}

/**
 * The chat with columns that mean what the archive brought: its runs, by the names that they have here, and its models.
 * Another reference would be looked up among the runs and folders of this machine; such a column is the base.
 */
function ownChat(
  database: WritableDatabase,
  { chat, asked }: KeptChat,
  brought: { runs: ReadonlySet<string>; models: ReadonlySet<string> },
): KeptChat {
  if (chat.columns.length !== asked.columns.length)
    throw new StudioError(
      'archive_invalid',
      `The chat in the archive shows ${chat.columns.length} columns and asks ${asked.columns.length}.`,
      'Nothing of it was taken in. Export the project anew, with the studio.',
    );
  const ofArchive = (model: string | null) => (model !== null && brought.models.has(model) ? model : null);
  const columns = asked.columns.map(({ model, adapter }, i) => {
    const found = adapter !== null && brought.runs.has(adapter) ? runById(database, adapter) : null;
    const shown = chat.columns[i]!;
    const ask = {
      model: ofArchive(model) ?? (found ? null : ofArchive(chat.model.id)),
      adapter: found?.id ?? null,
    };
    if (found) return { ask, shown: { ...shown, name: found.name, runId: found.id } };
    const name = adapter === null ? 'base' : `base (${shown.name} is not here)`;
    return { ask, shown: { ...shown, name, runId: null, method: null } };
  });
  return {
    chat: { ...chat, columns: columns.map(({ shown }) => shown) },
    asked: { ...asked, columns: columns.map(({ ask }) => ask) },
  };
}

/** A project has one chat at most: one that is here stays. */
function mergeChat(
  database: WritableDatabase,
  project: string,
  chat: KeptChat | null,
): ImportedProject['chat'] {
  if (chat === null) return 'none';
  const own = readChat(database, project);
  if (own !== null) return own.chat.id === chat.chat.id ? 'same' : 'other';
  keepChat(database, project, { ...chat, chat: { ...chat.chat, isOpen: false, isAnswering: false } });
  return 'added';
}

/** Entities with a name of their own in the project, which are told apart by their ids. */
function mergeNamed(
  writable: Sqlite.Database,
  table: 'mixes' | 'studies',
  adaptedOf: (entity: unknown) => object,
): { added: number; here: number } {
  const rows = writable.prepare(`SELECT * FROM copy.${table}`).all() as Record<string, string>[];
  let added = 0;
  for (const row of rows) {
    if (!idPattern.test(row['id']!) || writable.prepare(`SELECT 1 FROM ${table} WHERE id = ?`).get(row['id']))
      continue;
    const entity = adaptedOf(JSON.parse(row['entity']!)) as Record<string, string>;
    const columns = columnsOf(writable, table).split(', ');
    const values: Record<string, string> = {
      ...row,
      project: entity['project']!,
      name: entity['name']!,
      entity: JSON.stringify(entity),
    };
    writable
      .prepare(`INSERT INTO ${table} (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
      .run(...columns.map((name) => values[name]));
    added++;
  }
  return { added, here: rows.length - added };
}
