import { existsSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { insertRun, updateRun } from '../../../src-main/store/runs.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { sampleRun } from '../../support/sampleRun.ts';

let core: Core;
let home: string;
beforeEach(() => ({ core, home } = openTestCore()));
afterEach(() => core.close());

const call = { signal: neverAborted };
const storage = () => core.handlers['studio.storage']({}, call);
const clean = () => core.handlers['studio.cleanCache']({}, call);

/** A file of the data folder, as old as given. */
function write(path: string, size: number, ageMinutes: number): string {
  const full = join(home, path);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, Buffer.alloc(size));
  const at = new Date(Date.now() - 60_000 * ageMinutes);
  utimesSync(full, at, at);
  return full;
}

it('says what takes space, by kind and to the byte', async () => {
  write('runs/a/checkpoints/step-1/weights', 1000, 1);
  write('cache/tokens/x.train', 300, 60);
  const report = await storage();
  const of = (name: string) => report.parts.find((part) => part.name === name);
  expect(of('runs')).toEqual({ name: 'runs', files: 1, bytes: 1000 });
  expect(of('cache')).toEqual({ name: 'cache', files: 1, bytes: 300 });
  expect(of('models')).toEqual({ name: 'models', files: 0, bytes: 0 });
  expect(of('database')!.bytes).toBeGreaterThan(1000);
  expect(report.freeBytes).toBeGreaterThan(0);
});

it('cleans only what can be computed anew and is not fresh, and not while a run trains', async () => {
  const old = write('cache/pivots/old.safetensors', 200, 60);
  const fresh = write('cache/tokens/fresh.train', 100, 1);
  const upload = write('cache/uploads/rows.jsonl', 50, 60);
  const run = sampleRun({ name: 'busy', state: 'running' });
  const database = openWritable(join(home, 'studio.db'));
  insertRun(database, run);
  await expect(clean()).rejects.toThrow(/"busy" is training/);
  expect(existsSync(old)).toBe(true);
  updateRun(database, { ...run, state: 'done' });
  database.writable.close();
  expect(await clean()).toEqual({ files: 1, bytes: 200 });
  expect([old, fresh, upload].map((file) => existsSync(file))).toEqual([false, true, true]);
});
