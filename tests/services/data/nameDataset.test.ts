import { appendFileSync, copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { typedPath } from '../../../src-main/services/homePaths.ts';
import { factsPath } from '../../../src-main/data/stored/factsFile.ts';
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

/** A file of other rows for each, called alike in folders of their own. */
function filesCalledAlike(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => {
    const folder = join(dataFile, '..', `${name}-${i}`);
    mkdirSync(folder);
    const path = join(folder, `${name}.jsonl`);
    copyFileSync(dataFile, path);
    appendFileSync(path, `${JSON.stringify({ question: `What is the number ${i}?`, answer: `${i}` })}\n`);
    return path;
  });
}

const copies = () => readdirSync(join(dataFile, '..', 'datasets')).sort();
const listedCopies = () =>
  core.datasets
    .list()
    .filter(({ file }, i, all) => all.findIndex((one) => one.file === file) === i)
    .flatMap((one) => [one.file, one.file.replace(/jsonl$/, 'index'), basename(factsPath('', one))])
    .sort();

it('gives names of their own to files called alike that come at once', async () => {
  const added = await Promise.all(
    filesCalledAlike('alike', 3).map((path) => core.datasets.add({ path, format: 'auto' })),
  );
  expect(added.map(({ name }) => name).sort()).toEqual(['alike', 'alike-2', 'alike-3']);
  expect(new Set(added.map(({ contentHash }) => contentHash)).size).toBe(3);
});

it('takes a file that comes twice at once as one dataset', async () => {
  const [path] = filesCalledAlike('twice', 1) as [string];
  const [a, b] = await Promise.all([1, 2].map(() => core.datasets.add({ path, format: 'auto' })));
  expect(a!.id).toBe(b!.id);
  expect(copies()).toEqual(listedCopies());
});

it('refuses the second of two imports under one name, and leaves no copy of it', async () => {
  const results = await Promise.allSettled(
    filesCalledAlike('wished', 2).map((path) => core.datasets.add({ path, name: 'one', format: 'auto' })),
  );
  const refused = results.filter((result) => result.status === 'rejected');
  expect(refused).toHaveLength(1);
  expect(refused[0]!.reason).toMatchObject({
    code: 'name_taken',
    message: 'There is already a dataset "one".',
  });
  expect(copies()).toEqual(listedCopies());
});
