import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createCore } from '../../../src-main/core/createCore.ts';
import { openTestCore } from '../../support/core.ts';

const files = (home: string) => readdirSync(join(home, 'datasets'));
const copies = (home: string) => files(home).filter((name) => name.endsWith('.jsonl'));

it('brings a removed dataset back with its rows, under a free name', async () => {
  const { core, home, dataFile } = openTestCore();
  try {
    const dataset = await core.datasets.add({ path: dataFile, format: 'auto' });
    core.datasets.remove(dataset.id);
    expect(core.datasets.list()).toEqual([]);
    expect(core.datasets.restore(dataset.id)).toEqual(dataset);
    expect((await core.datasets.rows(dataset.id, { offset: 0, limit: 1 })).rows).toHaveLength(1);
    expect(() => core.datasets.restore(dataset.id)).toThrow(/deleted for good/);

    core.datasets.remove(dataset.id);
    const again = await core.datasets.add({ path: dataFile, format: 'auto' });
    expect(core.datasets.restore(dataset.id).name).toBe(`${dataset.name}-2`);
    expect(copies(home)).toHaveLength(1);
    core.datasets.remove(again.id);
  } finally {
    core.close();
  }
  // The copy is the restored dataset's, too.
  expect(copies(home)).toHaveLength(1);
});

it('deletes the copy when the studio closes, or at the next start after a crash', async () => {
  const { core, home, dataFile } = openTestCore();
  const dataset = await core.datasets.add({ path: dataFile, format: 'auto' });
  const copy = join(home, 'datasets', dataset.file);
  core.datasets.remove(dataset.id);
  expect(existsSync(copy)).toBe(true);
  core.close();
  expect(existsSync(copy)).toBe(false);
  writeFileSync(copy, 'left behind');
  writeFileSync(join(home, 'datasets', 'notes of a person.txt'), 'not ours');
  createCore({ home, project: 'default', mode: 'write' }).close();
  expect(files(home)).toEqual(['notes of a person.txt']);
});
