import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { neverAborted, openTestCore } from '../../support/core.ts';
import { startDatasetHub, type DatasetHub } from '../../support/hub/datasetHub.ts';
import { fixtures } from '../../support/paths.ts';
import { patienceMs } from '../../support/patience.ts';

const card = [
  '---',
  'license: mit',
  'configs:',
  '- config_name: main',
  '  default: true',
  '  data_files:',
  '  - split: train',
  '    path: main/train-*',
  '  - split: test',
  '    path: main/test-*',
  '- config_name: few',
  '  data_files: few/*.jsonl',
  '---',
].join('\n');
const parquet = readFileSync(join(fixtures, 'datasets', 'sums-zstd.parquet'));
const few = '{"question":"1+1","answer":"2"}\n{"question":"1+2","answer":"3"}\n';

let core: Core;
let home: string;
let hub: DatasetHub;
beforeAll(async () => {
  hub = await startDatasetHub({
    'README.md': card,
    'main/train-00000-of-00002.parquet': parquet,
    'main/train-00001-of-00002.parquet': parquet,
    'main/test-00000-of-00001.parquet': parquet,
    'few/a.jsonl': few,
    'script.py': 'print()',
  });
  ({ core, home } = openTestCore());
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HOME', home);
  vi.stubEnv('HF_TOKEN', '');
  vi.stubEnv('HF_HUB_OFFLINE', '');
});
afterEach(() => {
  hub.seen.length = 0;
  hub.wrong.clear();
});
afterAll(async () => {
  vi.unstubAllEnvs();
  core.close();
  await hub.close();
});

const download = (wanted: Parameters<Core['hubDatasets']['download']>[0]) =>
  core.hubDatasets.download(wanted, neverAborted);
const filePaths = () => hub.seen.map(({ path }) => path).filter((path) => path.includes('/resolve/'));
const kept = () => {
  const folder = join(home, 'cache', 'hub-datasets');
  return existsSync(folder) ? readdirSync(folder) : [];
};

it('finds datasets, and says their configurations and parts before anything is downloaded', async () => {
  expect(await core.hubDatasets.search('sums', 5, neverAborted)).toMatchObject([{ repository: 'org/sums' }]);
  const address = `${hub.endpoint}/datasets/org/sums/tree/main`;
  expect(await core.hubDatasets.inspect(address, undefined, neverAborted)).toEqual({
    repository: 'org/sums',
    revision: 'main',
    commit: 'd'.repeat(40),
    licence: 'mit',
    configs: [
      {
        name: 'main',
        splits: [
          { split: 'train', files: 2, sizeBytes: 2 * parquet.length, hereBytes: 0 },
          { split: 'test', files: 1, sizeBytes: parquet.length, hereBytes: 0 },
        ],
      },
      { name: 'few', splits: [{ split: 'train', files: 1, sizeBytes: few.length, hereBytes: 0 }] },
    ],
    freeBytes: expect.any(Number) as number,
  });
  expect(filePaths()).toEqual([expect.stringMatching(/README\.md$/)]);
});

it('downloads what is wanted alone, and imports it with its parts', async () => {
  const whole = await download({ repository: 'org/sums' });
  expect(whole).toMatchObject({
    name: 'sums',
    sourcePath: `hub/org/sums/main@${'d'.repeat(12)}`,
    format: 'chat',
    stretches: [
      { split: 'train', rows: 14 },
      { split: 'test', rows: 7 },
    ],
  });
  expect(filePaths().some((path) => path.includes('few/') || path.includes('script'))).toBe(false);
  const train = await download({ repository: 'org/sums', splits: ['train'], name: 'trained' });
  expect(train.stretches).toMatchObject([{ split: 'train', rows: 14 }]);
  expect(await download({ repository: 'org/sums', config: 'few' })).toMatchObject({
    rows: 2,
    format: 'question_answer',
  });
  expect(kept()).toEqual([]);
});

it('downloads to be looked at and mapped first, each choice of parts for itself', async () => {
  const whole = await core.hubDatasets.fetch({ repository: 'org/sums' }, neverAborted);
  expect(core.datasets.list().map(({ name }) => name)).not.toContain('looked-at');
  const { configs } = await core.hubDatasets.inspect('org/sums', undefined, neverAborted);
  expect(configs[0]!.splits.every(({ hereBytes, sizeBytes }) => hereBytes === sizeBytes)).toBe(true);
  expect(configs[1]!.splits[0]!.hereBytes).toBe(0);
  hub.seen.length = 0;
  const train = await core.hubDatasets.fetch({ repository: 'org/sums', splits: ['train'] }, neverAborted);
  // All of it was there: but for the card of the look nothing is asked for again.
  expect(filePaths()).toEqual([expect.stringMatching(/README\.md$/)]);
  const names = async (path: string) =>
    (await core.datasets.inspect({ paths: [path] })).files.map(({ split }) => split);
  expect(await names(whole.path)).toEqual(['train', 'train', 'test']);
  expect(await names(train.path)).toEqual(['train', 'train']);
  const mappings = [{ kind: 'text', text: 'question' }] as const;
  await expect(
    core.datasets.add({ paths: [train.path], name: 'looked-at', inPlace: true }),
  ).rejects.toMatchObject({ code: 'usage' });
  const few = await core.hubDatasets.fetch({ repository: 'org/sums', config: 'few' }, neverAborted);
  expect(await core.datasets.add({ paths: [few.path], mappings: [...mappings] })).toMatchObject({
    sourcePath: `hub/org/sums/few@${'d'.repeat(12)}`,
    isMappedByHand: true,
    mappings,
    rows: 2,
  });
  expect(kept()).toEqual([]);
  await expect(core.datasets.inspect({ paths: [train.path] })).rejects.toMatchObject({ code: 'not_found' });
  const again = await core.hubDatasets.fetch({ repository: 'org/sums', config: 'few' }, neverAborted);
  core.datasets.discardArrived(again.path);
  expect(kept()).toEqual([]);
});

it('goes on where it was broken off, by the same call', async () => {
  const cancel = new AbortController();
  hub.cutAfter = 1000;
  const first = core.hubDatasets.download({ repository: 'org/sums', name: 'again' }, cancel.signal);
  first.catch(() => {});
  const partial = () =>
    readdirSync(join(home, 'cache', 'hub-datasets'), { recursive: true, encoding: 'utf8' }).find((name) =>
      name.endsWith('.partial'),
    );
  await vi.waitFor(() => expect(statSync(join(home, 'cache', 'hub-datasets', partial()!)).size).toBe(1000), {
    timeout: patienceMs,
    interval: 10,
  });
  await expect(download({ repository: 'org/sums' })).rejects.toMatchObject({ code: 'busy' });
  cancel.abort();
  await expect(first).rejects.toMatchObject({ code: 'cancelled' });
  expect(kept()).toHaveLength(1);
  hub.seen.length = 0;
  expect((await download({ repository: 'org/sums', name: 'again' })).rows).toBe(21);
  expect(hub.seen.find(({ path }) => path.endsWith('train-00000-of-00002.parquet'))?.range).toBe(
    'bytes=1000-',
  );
  expect(kept()).toEqual([]);
});

it('takes nothing whose content is another than its hash promises', async () => {
  hub.wrong.set('few/a.jsonl', Buffer.from(few.replace('2', '7')));
  await expect(download({ repository: 'org/sums', config: 'few', name: 'wrong' })).rejects.toMatchObject({
    code: 'hub_invalid',
    message: expect.stringMatching(/few\/a\.jsonl came with another content/) as string,
  });
  expect(core.datasets.list().map(({ name }) => name)).not.toContain('wrong');
});

it('names configurations and parts that there are, and repositories that there are not', async () => {
  await expect(download({ repository: 'org/sums', config: 'none' })).rejects.toMatchObject({
    code: 'not_found',
    remedy: 'There are main, few.',
  });
  await expect(download({ repository: 'org/sums', splits: ['validation'] })).rejects.toMatchObject({
    code: 'not_found',
    message: 'org/sums (main) has no part validation.',
  });
  await expect(download({ repository: 'org/none' })).rejects.toMatchObject({
    code: 'not_found',
    message: expect.stringMatching(/^The dataset org\/none is not on the Hub/) as string,
  });
});

it('sends a token where there is one, and works without', async () => {
  vi.stubEnv('HF_TOKEN', 'secret');
  await core.hubDatasets.inspect('org/sums', undefined, neverAborted);
  expect(hub.seen.every(({ authorization }) => authorization === 'Bearer secret')).toBe(true);
  vi.stubEnv('HF_TOKEN', '');
});

it('goes on with a download that a page began when the page is gone, and tells the next page of it', async () => {
  const wanted = { repository: 'org/sums', config: 'main', splits: ['test' as const], label: 'the sums' };
  const call = (name: 'datasets.hubFetch', signal: AbortSignal) => core.handlers[name](wanted, { signal });
  const page = new AbortController();
  hub.stallAfter = 10;
  const first = Promise.resolve(call('datasets.hubFetch', page.signal));
  await vi.waitFor(() => expect(filePaths().length).toBeGreaterThan(1), { timeout: patienceMs });
  page.abort();
  // The next page finds it, and waits for the same one: nothing is asked for twice.
  expect(core.hubDatasets.fetches.list()).toMatchObject([{ wanted, path: null, error: null }]);
  const second = Promise.resolve(call('datasets.hubFetch', neverAborted));
  await core.hubDatasets.fetches.cancel('org/other');
  expect(core.hubDatasets.fetches.list()).toHaveLength(1);
  await core.hubDatasets.fetches.cancel('org/sums');
  await expect(first).rejects.toMatchObject({ code: 'cancelled' });
  await expect(second).rejects.toMatchObject({ code: 'cancelled' });
  expect(core.hubDatasets.fetches.list()).toEqual([]);

  hub.stallAfter = null;
  const { path } = await core.hubDatasets.fetches.begin(wanted);
  // It waits for whoever comes, until it is imported or discarded.
  expect(core.hubDatasets.fetches.list()).toMatchObject([{ wanted, path, error: null }]);
  core.datasets.discardArrived(path);
  expect(core.hubDatasets.fetches.list()).toEqual([]);
  // A failure is told once.
  await expect(core.hubDatasets.fetches.begin({ ...wanted, config: 'none' })).rejects.toMatchObject({
    code: 'not_found',
  });
  expect(core.hubDatasets.fetches.list()).toMatchObject([{ path: null, error: { code: 'not_found' } }]);
  expect(core.hubDatasets.fetches.list()).toEqual([]);
});
