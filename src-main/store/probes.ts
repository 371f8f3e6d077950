import { forecastRecordSchema, type ForecastRecord } from '../contract/forecast.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

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
