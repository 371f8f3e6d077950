import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { StudioError } from '../contract/errors.ts';
import { initialTables } from './migrations/0001-initial-tables.ts';
import { runAnnotations } from './migrations/0002-run-annotations.ts';
import { projectGoals } from './migrations/0003-project-goals.ts';
import { memoryAndLogTimes } from './migrations/0004-memory-and-log-times.ts';
import { runQueue } from './migrations/0005-run-queue.ts';
import { samples } from './migrations/0006-samples.ts';
import { trash } from './migrations/0007-trash.ts';
import { router } from './migrations/0008-router.ts';
import { probes } from './migrations/0009-probes.ts';
import type { Migration } from './migration.ts';
import { studies } from './migrations/0010-studies.ts';
import { listIndexes } from './migrations/0011-list-indexes.ts';
import { recentLosses } from './migrations/0012-recent-losses.ts';
import { mixes } from './migrations/0013-mixes.ts';
import { scoredItems } from './migrations/0014-scored-items.ts';
import { preferences } from './migrations/0015-preferences.ts';
import { overrides } from './migrations/0016-overrides.ts';
import { judgments } from './migrations/0017-judgments.ts';
import { checkpointScores } from './migrations/0018-checkpoint-scores.ts';
import { scoringQueue } from './migrations/0019-scoring-queue.ts';
import { chats } from './migrations/0020-chats.ts';

/** A handle that may only read. */
export interface ReadableDatabase {
  readonly readable: Sqlite.Database;
}

/** A handle that may write, too; there is one per data folder. */
export interface WritableDatabase extends ReadableDatabase {
  readonly writable: Sqlite.Database;
}

/** In order. A migration that has shipped is never edited. */
export const migrations: readonly Migration[] = [
  initialTables,
  runAnnotations,
  projectGoals,
  memoryAndLogTimes,
  runQueue,
  samples,
  trash,
  router,
  probes,
  studies,
  listIndexes,
  recentLosses,
  mixes,
  scoredItems,
  preferences,
  overrides,
  judgments,
  checkpointScores,
  scoringQueue,
  chats,
];

/**
 * Opens the database for writing, makes or upgrades it.
 *
 * WAL with synchronous FULL: a commit survives a power loss (NORMAL may lose the last ones); metrics are written in
 * batches, so that this costs nothing that matters.
 * @throws StudioError store_from_future
 */
export function openWritable(path: string, list: readonly Migration[] = migrations): WritableDatabase {
  mkdirSync(dirname(path), { recursive: true });
  const database = new Sqlite(path);
  try {
    addFunctions(database);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('foreign_keys = ON');
    migrate(database, list);
  } catch (error) {
    database.close();
    throw error;
  }
  return { readable: database, writable: database };
}

/** Whether an existing database was made by an older studio: it must be upgraded before it can be read. */
export function needsUpgrade(path: string): boolean {
  const database = new Sqlite(path, { readonly: true, fileMustExist: true });
  try {
    return versionOf(database) < migrations.length;
  } finally {
    database.close();
  }
}

/** Opens an existing database for reading, beside whoever writes. */
export function openReadable(path: string): ReadableDatabase {
  const database = new Sqlite(path, { readonly: true, fileMustExist: true });
  checkVersion(versionOf(database), migrations.length);
  addFunctions(database);
  return { readable: database };
}

/** `lower_case(text)`: as the page compares letters. SQLite's own lower() knows those of ASCII alone. */
function addFunctions(database: Sqlite.Database): void {
  database.function('lower_case', { deterministic: true }, (text) => String(text).toLowerCase());
}

function versionOf(database: Sqlite.Database): number {
  return database.pragma('user_version', { simple: true }) as number;
}

function checkVersion(found: number, known: number): void {
  if (found > known)
    throw new StudioError(
      'store_from_future',
      `The data folder was written by a newer studio (schema ${found}, this one knows ${known}).`,
      'Update the studio, or choose another data folder with --home DIR.',
    );
}

function migrate(database: Sqlite.Database, list: readonly Migration[]): void {
  list.forEach((migration, i) => {
    if (migration.version !== i + 1) throw new Error(`migration ${migration.version} is out of order`);
  });
  checkVersion(versionOf(database), list.length);
  for (const migration of list.slice(versionOf(database)))
    database.transaction(() => {
      migration.apply(database);
      database.pragma(`user_version = ${migration.version}`);
    })();
}
