import type { ListPlace, ListSlice, SliceRequest } from '../contract/listSlices.ts';
import type { ReadableDatabase } from './database.ts';

/** Tables of a project's entities, with the column that says which of them lie in the trash. */
const lists = { runs: 'id', evaluations: 'run_id' } as const;
/** What lists leave out: scores of checkpoints that do not stand for their run. */
const leftOut = { runs: null, evaluations: 'evaluations.step IS NOT NULL' } as const;

/**
 * Some entities of a project, newest first. What it takes does not grow with the list: the index of a project's times
 * leads to the rows, and what is counted is counted in indexes.
 * @param project of the first slice; the others say theirs
 */
export function readSlice<T>(
  { readable }: ReadableDatabase,
  options: {
    table: keyof typeof lists;
    /** What `read` needs of a row. */
    columns: string;
    read: (row: unknown) => T;
    project: string;
    request: SliceRequest;
  },
): ListSlice<T> {
  const { table, columns, read, request } = options;
  const project = request.after?.project ?? options.project;
  const owner = `${table}.${lists[table]}`;
  const { after, limit } = request;
  const isLeftOut = leftOut[table];
  const isListed = isLeftOut === null ? '' : `AND NOT (${isLeftOut})`;
  const isKept = `(${owner} IS NULL OR ${owner} NOT IN (SELECT id FROM trash))`;
  const place = after ? 'AND (created_at, rowid) < (@createdAt, @row)' : '';
  // One more than asked for says whether there are more.
  const rows = readable
    .prepare(
      `SELECT created_at AS createdAt, rowid AS row, ${columns} FROM ${table}
      WHERE project = @project ${place} ${isListed} AND ${isKept}
      ORDER BY created_at DESC, rowid DESC LIMIT @count`,
    )
    .all({ project, count: limit + 1, createdAt: after?.createdAt, row: after?.row }) as Omit<
    ListPlace,
    'project'
  >[];
  const total = readable
    .prepare(
      `SELECT (SELECT count(*) FROM ${table} WHERE project = @project)
        - (SELECT count(*) FROM trash CROSS JOIN ${table} ON ${owner} = trash.id WHERE project = @project)
        ${isLeftOut === null ? '' : `- (SELECT count(*) FROM ${table} WHERE project = @project AND ${isLeftOut} AND ${isKept})`}`,
    )
    .pluck()
    .get({ project }) as number;
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const next = last && rows.length > limit ? { project, createdAt: last.createdAt, row: last.row } : null;
  return { entries: shown.map(read), total, next };
}
