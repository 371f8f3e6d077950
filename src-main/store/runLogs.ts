import { logLevels, type LogLevel, type LogLine } from '../contract/runRecords.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** @returns the lines with their numbers, in the same order */
export function insertLogs(
  { writable }: WritableDatabase,
  runId: string,
  lines: readonly Omit<LogLine, 'id'>[],
): LogLine[] {
  const insert = writable.prepare('INSERT INTO run_logs (run_id, line, time, level) VALUES (?, ?, ?, ?)');
  return lines.map((line) => ({
    ...line,
    id: Number(insert.run(runId, line.line, line.time, line.level).lastInsertRowid),
  }));
}

/** Which lines of a run's log are asked for. */
export interface LogQuery {
  /** Lines after this one, from there on. */
  after?: number | undefined;
  /** Lines before this one, the latest of them. Without `after` and `before`: the latest of all. */
  before?: number | undefined;
  limit: number;
  /** Only lines with this text, upper or lower case alike. */
  search?: string | undefined;
  /** Only lines of this level or a graver one. */
  level?: LogLevel | undefined;
}

/** Lines in the order in which they were written, and how many there are in all that have the text and the level. */
export function readLogs(
  { readable }: ReadableDatabase,
  runId: string,
  { after, before, limit, search = '', level = 'info' }: LogQuery,
): { lines: LogLine[]; total: number } {
  const levels = logLevels.slice(logLevels.indexOf(level));
  // instr on lower case, not LIKE: what is looked for may hold % and _.
  const wanted = `run_id = ? AND level IN (${levels.map(() => '?').join()}) AND (? = '' OR instr(lower_case(line), ?) > 0)`;
  const wantedText = search.toLowerCase();
  const values = [runId, ...levels, wantedText, wantedText];
  const { total } = readable
    .prepare(`SELECT count(*) AS total FROM run_logs WHERE ${wanted}`)
    .get(...values) as { total: number };
  const place = after !== undefined ? 'id > ?' : 'id < ?';
  const order = after !== undefined ? 'ASC' : 'DESC';
  const lines = readable
    .prepare(
      `SELECT id, time, level, line FROM run_logs WHERE ${wanted} AND ${place} ORDER BY id ${order} LIMIT ?`,
    )
    .all(...values, after ?? before ?? Number.MAX_SAFE_INTEGER, limit) as LogLine[];
  return { lines: after !== undefined ? lines : lines.reverse(), total };
}
