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
const receive = (name: string, bytes = content, sizeBytes = bytes.length) =>
  core.receiveDataset({ name, sizeBytes, parts: inParts(bytes, 1000) });
const uploads = () => {
  const folder = join(home, 'cache', 'uploads');
  return existsSync(folder) ? readdirSync(folder) : [];
};

it('imports a file that came in parts, under its own name', async () => {
  const dataset = await receive('my sums.jsonl');
  expect(dataset).toMatchObject({ name: 'my sums', rows: 60, sourcePath: 'upload/my sums.jsonl' });
  expect((await core.datasets.rows(dataset.id, { offset: 0, limit: 100 })).rows).toHaveLength(60);
  expect((await receive('my sums.jsonl')).id).toBe(dataset.id);
  expect(uploads()).toEqual([]);
});

it('writes nowhere but into its own folder', async () => {
  const dataset = await receive('../../../evil.jsonl');
  expect(dataset.sourcePath).toBe('upload/evil.jsonl');
  expect((await receive('..\\..\\bad?.jsonl')).name).toBe('bad?');
  expect((await receive('..')).name).toBe('..');
  expect(uploads()).toEqual([]);
});

it('refuses a body of another length, and a file that is no dataset, by its name', async () => {
  await expect(receive('a.jsonl', content, content.length - 1)).rejects.toThrow('is longer than was said');
  await expect(receive('a.jsonl', content, content.length + 1)).rejects.toThrow(/ended after \d+ of/);
  await expect(receive('picture.jsonl', Buffer.from([0xff, 0xd8, 0xff]))).rejects.toThrow(/picture.jsonl/);
  await expect(receive('a.jsonl', content, 9e15)).rejects.toMatchObject({ code: 'disk_full' });
  expect(uploads()).toEqual([]);
});

it('is reached over HTTP with the token, as a file, and not by a form', async () => {
  const { origin, searchParams } = new URL(host.url);
  const send = (headers: Record<string, string>, name = 'web.jsonl') =>
    fetch(`${origin}/upload/dataset?name=${name}`, {
      method: 'POST',
      headers,
      body: new Uint8Array(content),
    });
  const authorization = { Authorization: `Bearer ${searchParams.get('token')!}` };
  const file = { 'Content-Type': 'application/octet-stream' };
  expect((await send(file)).status).toBe(401);
  expect((await send({ ...authorization, 'Content-Type': 'text/plain' })).status).toBe(405);
  expect((await send({ ...authorization, ...file, Origin: 'http://elsewhere' })).status).toBe(403);
  const reply = (await (await send({ ...authorization, ...file })).json()) as { ok: boolean; value: object };
  expect(reply).toMatchObject({ ok: true, value: { name: 'web', rows: 60 } });
});

it('clears what a process left that died meanwhile', async () => {
  await host.close();
  core.close();
  mkdirSync(join(home, 'cache', 'uploads', 'abc'), { recursive: true });
  core = createCore({ home, project: 'default', mode: 'write' });
  expect(uploads()).toEqual([]);
});
