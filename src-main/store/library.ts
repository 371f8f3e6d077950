import { datasetSchema, modelSchema, type Dataset, type Model } from '../contract/entities.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';

/** The library shared by all projects: models and datasets. */
interface Table<E extends { id: string; name: string }> {
  list(database: ReadableDatabase): E[];
  /** By id, else by name. */
  find(database: ReadableDatabase, reference: string): E | null;
  insert(database: WritableDatabase, entity: E): void;
  remove(database: WritableDatabase, id: string): void;
}

function table<E extends { id: string; name: string }>(
  name: 'models' | 'datasets',
  parse: (value: unknown) => E,
): Table<E> {
  const read = (row: unknown) => parse(JSON.parse((row as { entity: string }).entity));
  return {
    list: ({ readable }) => readable.prepare(`SELECT entity FROM ${name} ORDER BY name`).all().map(read),
    find({ readable }, reference) {
      const row = readable
        .prepare(`SELECT entity FROM ${name} WHERE id = ? OR name = ? ORDER BY id = ? DESC LIMIT 1`)
        .get(reference, reference, reference);
      return row === undefined ? null : read(row);
    },
    insert({ writable }, entity) {
      writable
        .prepare(`INSERT INTO ${name} (id, name, entity) VALUES (?, ?, ?)`)
        .run(entity.id, entity.name, JSON.stringify(entity));
    },
    remove({ writable }, id) {
      writable.prepare(`DELETE FROM ${name} WHERE id = ?`).run(id);
    },
  };
}

export const models: Table<Model> = table('models', (value) => modelSchema.parse(value));
export const datasets: Table<Dataset> = table('datasets', (value) => datasetSchema.parse(value));
