import { datasetSchema, modelSchema, type Dataset, type Model } from '../contract/entities.ts';
import type { ReadableDatabase, WritableDatabase } from './database.ts';
import { isKept } from './trash.ts';

/** The library shared by all projects: models and datasets. */
interface Table<E extends { id: string; name: string }> {
  list(database: ReadableDatabase): E[];
  /** By id, else by name. */
  find(database: ReadableDatabase, reference: string): E | null;
  insert(database: WritableDatabase, entity: E): void;
  /** Writes an entity over the one that has its id. */
  update(database: WritableDatabase, entity: E): void;
}

function table<E extends { id: string; name: string }>(
  name: 'models' | 'datasets',
  parse: (value: unknown) => E,
): Table<E> {
  const read = (row: unknown) => parse(JSON.parse((row as { entity: string }).entity));
  return {
    list: ({ readable }) =>
      readable.prepare(`SELECT entity FROM ${name} WHERE ${isKept()} ORDER BY name`).all().map(read),
    find({ readable }, reference) {
      const row = readable
        .prepare(
          `SELECT entity FROM ${name} WHERE (id = ? OR name = ?) AND ${isKept()} ORDER BY id = ? DESC LIMIT 1`,
        )
        .get(reference, reference, reference);
      return row === undefined ? null : read(row);
    },
    insert({ writable }, entity) {
      writable
        .prepare(`INSERT INTO ${name} (id, name, entity) VALUES (?, ?, ?)`)
        .run(entity.id, entity.name, JSON.stringify(entity));
    },
    update({ writable }, entity) {
      writable
        .prepare(`UPDATE ${name} SET name = ?, entity = ? WHERE id = ?`)
        .run(entity.name, JSON.stringify(entity), entity.id);
    },
  };
}

export const models: Table<Model> = table('models', (value) => modelSchema.parse(value));
export const datasets: Table<Dataset> = table('datasets', (value) => datasetSchema.parse(value));

/** All datasets, those in the trash included: one copy may serve several. */
export function storedDatasets({ readable }: ReadableDatabase): Dataset[] {
  const rows = readable.prepare('SELECT entity FROM datasets').all() as { entity: string }[];
  return rows.map(({ entity }) => datasetSchema.parse(JSON.parse(entity)));
}
