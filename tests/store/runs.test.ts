import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect, it } from 'vitest';
import { createCore } from '../../src-main/core/createCore.ts';
import { migrations, openWritable } from '../../src-main/store/database.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { annotateRun, findRun, insertRun, updateRun } from '../../src-main/store/runs.ts';
import { sampleRun } from '../support/sampleRun.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('keeps what a person wrote when the recorder writes its older copy', () => {
  const database = openWritable(join(temporaryFolder(), 'studio.db'));
  ensureProject(database, 'default');
  const recorded = sampleRun({ name: 'first', state: 'running' });
  insertRun(database, recorded);
  annotateRun(database, recorded.id, { name: 'second', notes: 'lower the rate', tags: ['keep', 'paper'] });
  const stored = updateRun(database, { ...recorded, step: 7 });
  expect(stored).toMatchObject({ name: 'second', notes: 'lower the rate', tags: ['keep', 'paper'], step: 7 });
  expect(findRun(database, 'default', 'second')).toEqual(stored);
  expect(findRun(database, 'default', 'first')).toBeNull();
  database.writable.close();
});

it('reads a data folder of an older studio, which it upgrades first', () => {
  const home = temporaryFolder();
  const path = join(home, 'studio.db');
  const old = openWritable(path, migrations.slice(0, 1));
  ensureProject(old, 'default');
  const { notes: _notes, tags: _tags, ...entity } = sampleRun({ name: 'old' });
  old.writable
    .prepare('INSERT INTO runs (id, project, name, state, created_at, entity) VALUES (?, ?, ?, ?, ?, ?)')
    .run(entity.id, entity.project, entity.name, entity.state, entity.createdAt, JSON.stringify(entity));
  old.writable.close();
  const core = createCore({ home, project: 'default', mode: 'read' });
  expect(core.runs.list()).toEqual([{ ...entity, notes: '', tags: [] }]);
  core.close();
  const upgraded = new Sqlite(path, { readonly: true });
  expect(upgraded.pragma('user_version', { simple: true })).toBe(migrations.length);
  upgraded.close();
});
