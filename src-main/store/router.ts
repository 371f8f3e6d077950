import { routerLayoutSchema, type RouterLayout, type RouterRecord } from '../contract/runRecords.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** Records of a repeated step (after a resume) replace the old ones. */
export function insertRouterRecords(
  { writable }: WritableDatabase,
  runId: string,
  { layout, records }: { layout: RouterLayout; records: readonly RouterRecord[] },
): void {
  writable
    .prepare('INSERT OR REPLACE INTO router_layouts (run_id, layout) VALUES (?, ?)')
    .run(runId, JSON.stringify(layout));
  const insert = writable.prepare(
    'INSERT OR REPLACE INTO router_records (run_id, step, tokens, mean, magnitude) VALUES (?, ?, ?, ?, ?)',
  );
  for (const { step, tokens, mean, magnitude } of records)
    insert.run(runId, step, tokens, floatBytes(mean), floatBytes(magnitude));
}

/** The latest `limit` records in order of their step; null where the run has none. */
export function readRouterRecords(
  { readable }: ReadableDatabase,
  runId: string,
  limit: number,
): { layout: RouterLayout; records: RouterRecord[] } | null {
  const layout = readable.prepare('SELECT layout FROM router_layouts WHERE run_id = ?').pluck().get(runId);
  if (typeof layout !== 'string') return null;
  const rows = readable
    .prepare(
      'SELECT step, tokens, mean, magnitude FROM router_records WHERE run_id = ? ORDER BY step DESC LIMIT ?',
    )
    .all(runId, limit) as { step: number; tokens: number; mean: Buffer; magnitude: Buffer }[];
  return {
    layout: routerLayoutSchema.parse(JSON.parse(layout)),
    records: rows.reverse().map(({ step, tokens, mean, magnitude }) => ({
      step,
      tokens,
      mean: floatsOf(mean),
      magnitude: floatsOf(magnitude),
    })),
  };
}

function floatBytes(values: readonly number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** A blob's bytes need not begin where an f32 may. */
function floatsOf(bytes: Buffer): number[] {
  return [...new Float32Array(Uint8Array.from(bytes).buffer)];
}
