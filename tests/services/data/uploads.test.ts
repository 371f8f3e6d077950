import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createCore, type Core } from '../../../src-main/core/createCore.ts';
import { startHttpHost, type HttpHost } from '../../../src-main/core/httpHost.ts';
import { openTestCore } from '../../support/core.ts';

let core: Core;
let home: string;
let host: HttpHost;
let content: Buffer;
beforeAll(async () => {
  const opened = openTestCore();
  ({ core, home } = opened);
  content = readFileSync(opened.dataFile);
  host = await startHttpHost(core, { host: '127.0.0.1', port: 0 });
});
afterAll(async () => {
  await host.close();
  core.close();
});

async function* inParts(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
const batch = 'batch-of-a-test';
const send = (name: string, bytes = content, sizeBytes = bytes.length) =>
  core.receiveFile({ batch, name, sizeBytes, parts: inParts(bytes, 1000) });
const receive = async (name: string) => core.datasets.add({ ...(await send(name)) });
const uploads = () => {
  const folder = join(home, 'cache', 'uploads');
  return existsSync(folder) ? readdirSync(folder) : [];
};

it('keeps a file that came in parts until it is imported under its own name', async () => {
  const { path } = await send('my sums.jsonl');
  expect((await core.datasets.inspect({ paths: [path] })).files).toMatchObject([{ name: 'my sums.jsonl' }]);
  const dataset = await core.datasets.add({ paths: [path] });
  expect(dataset).toMatchObject({ name: 'my sums', rows: 60, sourcePath: 'upload/my sums.jsonl' });
  expect((await core.datasets.rows(dataset.id, { offset: 0, limit: 100 })).rows).toHaveLength(60);
  expect(uploads()).toEqual([]);
  expect((await receive('my sums.jsonl')).id).toBe(dataset.id);
  await expect(core.datasets.inspect({ paths: [path] })).rejects.toThrow(/no longer there/);
});

it('makes one dataset of the files of a batch, with the parts that they and their folders name', async () => {
  const lines = (first: number) =>
    Buffer.from(
      [0, 1].map((i) => JSON.stringify({ prompt: `p${first + i}`, completion: `c${i}` })).join('\n'),
    );
  await send('sums/train.jsonl', lines(0));
  await send('sums/test.jsonl', lines(2));
  const { path } = await send('more.jsonl', lines(4));
  const dataset = await core.datasets.add({ paths: [path], name: 'of three' });
  expect(dataset.files.map(({ name, split }) => [name, split])).toEqual([
    ['more.jsonl', 'train'],
    ['sums/train.jsonl', 'train'],
    ['sums/test.jsonl', 'test'],
  ]);
  expect(dataset).toMatchObject({ rows: 6, sourcePath: 'upload/more.jsonl, upload/sums' });
});

it('writes nowhere but into its own folder, and reads nothing else', async () => {
  expect((await receive('../../../evil.jsonl')).sourcePath).toBe('upload/evil.jsonl');
  expect((await receive('..\\..\\bad?.jsonl')).name).toBe('bad_');
  expect((await receive('/etc/deep/'.repeat(20) + 'x.jsonl')).sourcePath).toBe('upload/deep');
  expect(uploads()).toEqual([]);
  await expect(
    core.receiveFile({ batch: '../../datasets', name: 'a', sizeBytes: 0, parts: inParts(content, 9) }),
  ).rejects.toMatchObject({ code: 'usage' });
  await expect(core.datasets.inspect({ paths: ['upload:../../datasets'] })).rejects.toMatchObject({
    code: 'not_found',
  });
});

it('refuses a body of another length, and a file that is no dataset, by its name', async () => {
  await expect(send('a.jsonl', content, content.length - 1)).rejects.toThrow('is longer than was said');
  await expect(send('a.jsonl', content, content.length + 1)).rejects.toThrow(/ended after \d+ of/);
  const { path } = await send('picture.jsonl', Buffer.from([0xff, 0xd8, 0xff]));
  await expect(core.datasets.add({ paths: [path] })).rejects.toThrow(/picture.jsonl/);
  await expect(core.datasets.add({ paths: [path], inPlace: true })).rejects.toMatchObject({ code: 'usage' });
  await expect(send('a.jsonl', content, 9e15)).rejects.toMatchObject({ code: 'disk_full' });
  core.datasets.discardArrived(path);
  expect(uploads()).toEqual([]);
});

it('is reached over HTTP with the token, as a file, and not by a form', async () => {
  const { origin, searchParams } = new URL(host.url);
  const post = (headers: Record<string, string>, name = 'web.jsonl') =>
    fetch(`${origin}/upload/file?batch=of-the-web&name=${name}`, {
      method: 'POST',
      headers,
      body: new Uint8Array(content),
    });
  const authorization = { Authorization: `Bearer ${searchParams.get('token')!}` };
  const file = { 'Content-Type': 'application/octet-stream' };
  expect((await post(file)).status).toBe(401);
  expect((await post({ ...authorization, 'Content-Type': 'text/plain' })).status).toBe(405);
  expect((await post({ ...authorization, ...file, Origin: 'http://elsewhere' })).status).toBe(403);
  const reply = (await (await post({ ...authorization, ...file })).json()) as { ok: boolean; value: object };
  expect(reply).toMatchObject({ ok: true, value: { path: 'upload:of-the-web' } });
});

it('clears what a process left that died meanwhile', async () => {
  await host.close();
  core.close();
  mkdirSync(join(home, 'cache', 'uploads', 'abc'), { recursive: true });
  core = createCore({ home, project: 'default', mode: 'write' });
  expect(uploads()).toEqual([]);
});
