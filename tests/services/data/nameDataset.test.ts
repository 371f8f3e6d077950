import { copyFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { typedPath } from '../../../src-main/services/homePaths.ts';
import { openTestCore } from '../../support/core.ts';

let core: Core;
let dataFile: string;
beforeAll(() => {
  ({ core, dataFile } = openTestCore());
});
afterAll(() => core.close());

describe('a path is what a person means by it', () => {
  it.each([
    ['~/data/train.jsonl', join(homedir(), 'data', 'train.jsonl')],
    ['~', homedir()],
    ['"/data/my file.jsonl"', '/data/my file.jsonl'],
    [" '/data/a.jsonl' ", '/data/a.jsonl'],
    ['"~/a.jsonl"', join(homedir(), 'a.jsonl')],
    ['~other/a.jsonl', resolve('~other/a.jsonl')],
    ['a "quoted" word.jsonl', resolve('a "quoted" word.jsonl')],
  ])('%s', (text, path) => {
    expect(typedPath(text)).toBe(path);
  });
});

it('imports a file whose path was copied with its quotes', async () => {
  const spaced = join(dataFile, '..', 'my sums.jsonl');
  copyFileSync(dataFile, spaced);
  const dataset = await core.datasets.add({ path: `"${spaced}"`, name: 'sums', format: 'auto' });
  expect(dataset).toMatchObject({ name: 'sums', sourcePath: spaced });
});

it('calls a dataset otherwise, and refuses a name that another has', async () => {
  const added = await core.datasets.add({ path: dataFile, name: 'train', format: 'auto' });
  expect(core.datasets.rename('train', 'GSM8K, train')).toMatchObject({
    id: added.id,
    name: 'GSM8K, train',
  });
  expect(core.datasets.get(added.id).name).toBe('GSM8K, train');
  expect(() => core.datasets.get('train')).toThrow(/no dataset "train"/);
  expect(() => core.datasets.rename(added.id, 'sums')).toThrow(
    expect.objectContaining({ code: 'name_taken' }),
  );
  expect(core.datasets.rename(added.id, 'GSM8K, train').id).toBe(added.id);
});
