import { join } from 'node:path';
import { expect, it } from 'vitest';
import { migrations, openReadable, openWritable } from '../../src-main/store/database.ts';
import type { Migration } from '../../src-main/store/migration.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('makes a database in WAL mode with full synchronisation and foreign keys', () => {
  const { writable } = openWritable(join(temporaryFolder(), 'studio.db'));
  expect(writable.pragma('journal_mode', { simple: true })).toBe('wal');
  expect(writable.pragma('synchronous', { simple: true })).toBe(2);
  expect(writable.pragma('foreign_keys', { simple: true })).toBe(1);
  expect(writable.pragma('user_version', { simple: true })).toBe(migrations.length);
  writable.close();
});

it('applies only new migrations, each in a transaction', () => {
  const path = join(temporaryFolder(), 'studio.db');
  openWritable(path).writable.close();
  const good: Migration = {
    version: migrations.length + 1,
    apply: (db) => db.exec('CREATE TABLE extra (x)'),
  };
  const bad: Migration = {
    version: migrations.length + 2,
    apply: (db) => {
      db.exec('CREATE TABLE half (x)');
      throw new Error('broken migration');
    },
  };
  expect(() => openWritable(path, [...migrations, good, bad])).toThrow('broken migration');
  const { writable } = openWritable(path, [...migrations, good]);
  const tables = writable.prepare("SELECT name FROM sqlite_master WHERE name IN ('extra', 'half')").all();
  expect(tables).toEqual([{ name: 'extra' }]);
  writable.close();
});

it('refuses a database from the future and migrations out of order', () => {
  const path = join(temporaryFolder(), 'studio.db');
  const { writable } = openWritable(path);
  writable.pragma('user_version = 999');
  writable.close();
  expect(() => openWritable(path)).toThrow(/newer studio \(schema 999/);
  expect(() => openReadable(path)).toThrow(/newer studio/);
  expect(() =>
    openWritable(join(temporaryFolder(), 'x.db'), [{ version: 2, apply: () => undefined }]),
  ).toThrow(/out of order/);
});
