import { setImmediate } from 'node:timers/promises';
import {
  evaluationItemSchema,
  evaluationSchema,
  exportRecordSchema,
  type Evaluation,
  type EvaluationItem,
  type ExportRecord,
} from '../contract/results.ts';
import type { ListSlice, SliceRequest } from '../contract/listSlices.ts';
import { withInterval } from '../statistics/scores.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { readSlice } from './slices.ts';
import { isKept } from './trash.ts';
import { forecastRecordSchema, type ForecastRecord } from '../contract/forecast.ts';

/** Evaluations of the base model belong to no run. */
const ofKeptRun = `(run_id IS NULL OR ${isKept('run_id')})`;

const entityOf = (row: unknown): unknown => JSON.parse((row as { entity: string }).entity);
const evaluationOf = (row: unknown): Evaluation => withInterval(evaluationSchema.parse(entityOf(row)));

/** Newest first; without those of checkpoints that do not stand for their run. */
export function listEvaluations({ readable }: ReadableDatabase, project: string): Evaluation[] {
  return readable
    .prepare(
      `SELECT entity FROM evaluations WHERE project = ? AND step IS NULL AND ${ofKeptRun}
       ORDER BY created_at DESC, rowid DESC`,
    )
    .all(project)
    .map(evaluationOf);
}

/** Those with some ids, in their order; what is not there is left out. */
export function findEvaluations(
  { readable }: ReadableDatabase,
  project: string,
  ids: readonly string[],
): Evaluation[] {
  const find = readable.prepare(
    `SELECT entity FROM evaluations WHERE project = ? AND id = ? AND ${ofKeptRun}`,
  );
  return ids.flatMap((id) => {
    const row = find.get(project, id);
    return row === undefined ? [] : [evaluationOf(row)];
  });
}

/** Some of them, newest first. */
export function sliceEvaluations(
  database: ReadableDatabase,
  project: string,
  request: SliceRequest,
): ListSlice<Evaluation> {
  return readSlice(database, {
    table: 'evaluations',
    columns: 'entity',
    project,
    request,
    read: evaluationOf,
  });
}

/** Of all projects, newest first. */
export function newestEvaluations({ readable }: ReadableDatabase, most: number): Evaluation[] {
  return readable
    .prepare(`SELECT entity FROM evaluations WHERE ${ofKeptRun} ORDER BY created_at DESC, rowid DESC LIMIT ?`)
    .all(most)
    .map(evaluationOf);
}

/** The evaluation with the same subject, data and settings, if there is one. */
export function findEvaluation(
  { readable }: ReadableDatabase,
  project: string,
  key: string,
): Evaluation | null {
  const row = readable
    .prepare(
      `SELECT entity FROM evaluations WHERE project = ? AND cache_key = ? AND ${ofKeptRun} ORDER BY created_at DESC LIMIT 1`,
    )
    .get(project, key);
  return row === undefined ? null : evaluationOf(row);
}

/** A score of a checkpoint that stands for its run since then is listed like any other. */
export function listCheckpointScore({ writable }: WritableDatabase, evaluation: Evaluation): Evaluation {
  const listed = { ...evaluation, step: null };
  writable
    .prepare('UPDATE evaluations SET step = NULL, entity = ? WHERE id = ?')
    .run(JSON.stringify(listed), evaluation.id);
  return listed;
}

/** Whose items are kept: a project, and the key of what was scored and how. */
export interface ItemsKey {
  project: string;
  itemsKey: string;
}

/**
 * Writes an evaluation with its items, and lets go of those that were kept for it so far.
 * @param keys `key`: of all that decides its outcome; `itemsKey`: without how many items there are
 */
export function insertEvaluation(
  { writable }: WritableDatabase,
  evaluation: Evaluation,
  { key, itemsKey }: { key: string; itemsKey: string },
  items: readonly EvaluationItem[],
): void {
  writable.transaction(() => {
    writable
      .prepare(
        'INSERT INTO evaluations (id, project, run_id, cache_key, created_at, entity, items_key, step) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        evaluation.id,
        evaluation.project,
        evaluation.runId,
        key,
        evaluation.createdAt,
        JSON.stringify(evaluation),
        itemsKey,
        evaluation.step,
      );
    const insert = writable.prepare('INSERT INTO evaluation_items VALUES (?, ?, ?)');
    items.forEach((item, position) => insert.run(evaluation.id, position, JSON.stringify(item)));
    writable
      .prepare('DELETE FROM pending_items WHERE project = ? AND items_key = ?')
      .run(evaluation.project, itemsKey);
  })();
}

/** Keeps items that are graded, though the evaluation is not complete. */
export function keepItems(
  { writable }: WritableDatabase,
  { project, itemsKey }: ItemsKey,
  items: readonly EvaluationItem[],
): void {
  const insert = writable.prepare('INSERT OR REPLACE INTO pending_items VALUES (?, ?, ?, ?)');
  writable.transaction(() => {
    for (const item of items) insert.run(project, itemsKey, item.index, JSON.stringify(item));
  })();
}

/**
 * Items that are known: graded by an evaluation that was stopped, or by one on fewer or more items. By their places.
 */
export function knownItems(
  { readable }: ReadableDatabase,
  { project, itemsKey }: ItemsKey,
): Map<number, EvaluationItem> {
  const known = new Map<number, EvaluationItem>();
  const keep = (row: unknown) => {
    const item = evaluationItemSchema.parse(entityOf(row));
    known.set(item.index, item);
  };
  const largest = readable
    .prepare(
      `SELECT id FROM evaluations WHERE project = ? AND items_key = ? AND ${ofKeptRun}
       ORDER BY entity ->> '$.n' DESC LIMIT 1`,
    )
    .get(project, itemsKey) as { id: string } | undefined;
  if (largest)
    readable
      .prepare('SELECT entity FROM evaluation_items WHERE evaluation_id = ?')
      .all(largest.id)
      .forEach(keep);
  readable
    .prepare('SELECT entity FROM pending_items WHERE project = ? AND items_key = ?')
    .all(project, itemsKey)
    .forEach(keep);
  return known;
}

/** So many items are read in one go: more would keep the core from everything else. */
const itemsAtOnce = 2000;

/** An evaluation's items in the order of its file, with pauses in which the process can do other things. */
export async function readEvaluationItems(
  { readable }: ReadableDatabase,
  evaluationId: string,
): Promise<EvaluationItem[]> {
  const slice = readable.prepare(
    'SELECT entity FROM evaluation_items WHERE evaluation_id = ? AND position >= ? ORDER BY position LIMIT ?',
  );
  const items: EvaluationItem[] = [];
  for (;;) {
    const rows = slice.all(evaluationId, items.length, itemsAtOnce);
    for (const row of rows) {
      const item = evaluationItemSchema.parse(entityOf(row));
      // Those from before items had ids are told apart by their places.
      items.push(item.id === '' ? { ...item, id: String(item.index) } : item);
    }
    if (rows.length < itemsAtOnce) return items;
    await setImmediate();
  }
}

/** Whether a project has an evaluation. */
export function hasEvaluation({ readable }: ReadableDatabase, project: string, id: string): boolean {
  const row = readable
    .prepare(`SELECT 1 FROM evaluations WHERE project = ? AND id = ? AND ${ofKeptRun}`)
    .get(project, id);
  return row !== undefined;
}

/** Newest first. */
export function listExports({ readable }: ReadableDatabase): ExportRecord[] {
  return readable
    .prepare(`SELECT entity FROM exports WHERE ${isKept('run_id')} ORDER BY created_at DESC, rowid DESC`)
    .all()
    .map((row) => exportRecordSchema.parse(entityOf(row)));
}

export function insertExport({ writable }: WritableDatabase, record: ExportRecord): void {
  writable
    .prepare('INSERT INTO exports (id, run_id, created_at, entity) VALUES (?, ?, ?, ?)')
    .run(record.id, record.runId, record.createdAt, JSON.stringify(record));
}

/** Probes of a machine, newest first. */
export function listProbes({ readable }: ReadableDatabase, machine: string): ForecastRecord[] {
  return readable
    .prepare('SELECT entity FROM probes WHERE machine = ? ORDER BY created_at DESC')
    .pluck()
    .all(machine)
    .map((entity) => forecastRecordSchema.parse(JSON.parse(entity as string)));
}

export function insertProbe({ writable }: WritableDatabase, machine: string, record: ForecastRecord): void {
  writable
    .prepare('INSERT INTO probes (machine, created_at, entity) VALUES (?, ?, ?)')
    .run(machine, record.createdAt, JSON.stringify(record));
}
