import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import WebSocket from 'ws';
import type { Core } from '../../src-main/core/createCore.ts';
import { startHttpHost, type HttpHost } from '../../src-main/core/httpHost.ts';
import { openTestCore } from '../support/core.ts';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** Larger than what a socket takes at once: the host is still sending when the client leaves. */
const script = 'x'.repeat(8_000_000);
const outer = temporaryFolder();
const page = join(outer, 'page');
let core: Core;
let host: HttpHost;
let address: URL;
let headers: string;

beforeAll(async () => {
  mkdirSync(join(page, 'assets'), { recursive: true });
  writeFileSync(join(outer, 'secret.json'), 'secret');
  writeFileSync(join(page, 'index.html'), '<p>studio</p>');
  writeFileSync(join(page, 'assets', 'large-1234.js'), script);
  ({ core } = openTestCore());
  host = await startHttpHost(core, { host: '127.0.0.1', port: 0, pageFolder: page });
  address = new URL(host.url);
  headers = `Host: ${address.host}\r\nAuthorization: Bearer ${address.searchParams.get('token')}`;
});
afterAll(async () => {
  await host.close();
  core.close();
});

/** What would have ended the core, had it been its own process. */
const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);
let ownListeners: ((...values: never[]) => void)[];
beforeEach(() => {
  ownListeners = process.rawListeners('uncaughtException') as typeof ownListeners;
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', note);
});
afterEach(() => {
  process.removeAllListeners('uncaughtException');
  for (const listener of ownListeners) process.on('uncaughtException', listener as () => void);
  expect(uncaught.splice(0)).toEqual([]);
});

/** A connection on which `text` was sent. */
function client(text: string): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(Number(address.port), '127.0.0.1', () =>
      socket.write(text, () => resolve(socket)),
    );
    socket.on('error', () => undefined);
  });
}

/** What comes back until the host closes the connection. */
function answerTo(text: string): Promise<string> {
  return new Promise((resolve) => {
    void client(text).then((socket) => {
      let answer = '';
      socket.setEncoding('latin1').on('data', (part: string) => (answer += part));
      socket.on('close', () => resolve(answer));
    });
  });
}

const get = (path: string) => answerTo(`GET ${path} HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`);
const upgrade = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==`;

async function expectHostToAnswer(): Promise<void> {
  // Long enough for what a reset brings with it.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const answer = await answerTo(
    `POST /rpc/studio.info HTTP/1.1\r\n${headers}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 200 .*"ok":true/s);
}

it.each([
  ['a refused WebSocket', () => `GET /channel HTTP/1.1\r\nHost: ${address.host}\r\n${upgrade}\r\n\r\n`],
  ['a WebSocket elsewhere', () => `GET /other HTTP/1.1\r\n${headers}\r\n${upgrade}\r\n\r\n`],
  ['an open WebSocket', () => `GET /channel HTTP/1.1\r\n${headers}\r\n${upgrade}\r\n\r\n`],
  [
    'a call',
    () =>
      `POST /rpc/studio.load HTTP/1.1\r\n${headers}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  ],
  [
    'a call with half its body',
    () =>
      `POST /rpc/studio.info HTTP/1.1\r\n${headers}\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n{`,
  ],
  [
    'half an upload',
    () =>
      `POST /upload/file?batch=half-a-file&name=a.jsonl HTTP/1.1\r\n${headers}\r\nContent-Type: application/octet-stream\r\nContent-Length: 200\r\n\r\n{`,
  ],
  ['half a request', () => 'GET / HT'],
])('survives %s whose client resets the connection', async (_name, request) => {
  for (let i = 0; i < 20; i++) (await client(request())).resetAndDestroy();
  await expectHostToAnswer();
});

it.each([
  ['too large', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 2, 3, 4])],
  ['of no known kind', Buffer.from([0x83, 0x80, 1, 2, 3, 4])],
  ['without a mask', Buffer.from([0x81, 0x02, 0x7b, 0x7d])],
  ['that is no JSON', Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0x7b])],
])('cuts off a client that sends a frame %s, and nobody else', async (_name, frame) => {
  const other = new WebSocket(`ws://${address.host}/channel`, {
    headers: { Authorization: `Bearer ${address.searchParams.get('token')}` },
  });
  await new Promise((resolve) => other.once('open', resolve));
  const socket = await client(`GET /channel HTTP/1.1\r\n${headers}\r\n${upgrade}\r\n\r\n`);
  await new Promise((resolve) => socket.once('data', resolve));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(frame);
  await closed;
  const pong = new Promise((resolve) => other.once('message', resolve));
  other.send(JSON.stringify({ kind: 'ping' }));
  expect(String(await pong)).toBe('{"kind":"pong"}');
  other.terminate();
  await expectHostToAnswer();
});

it.runIf(process.platform === 'linux')(
  'lets go of a file whose browser leaves in the middle of it',
  async () => {
    const held = () =>
      readdirSync('/proc/self/fd').filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).endsWith('large-1234.js');
        } catch {
          return false;
        }
      }).length;
    for (let i = 0; i < 20; i++) {
      const socket = await client(`GET /assets/large-1234.js HTTP/1.1\r\n${headers}\r\n\r\n`);
      await new Promise((resolve) => socket.once('data', resolve));
      socket.resetAndDestroy();
    }
    await expectHostToAnswer();
    await expect.poll(held).toBe(0);
  },
);

it('survives a file of the page that is found and cannot be opened, as one that vanishes in between', async () => {
  // A socket is such a file.
  const name = 'unreadable.js';
  const server = createServer().listen(join(page, 'assets', name));
  await once(server, 'listening');
  expect(await get(`/assets/${name}`)).not.toContain('studio');
  server.close();
  await expectHostToAnswer();
});

it('serves files whole and in ranges, says what may be kept, and answers deep links with the page', async () => {
  expect(await get('/')).toMatch(/^HTTP\/1\.1 200 .*content-type: text\/html.*<p>studio<\/p>$/is);
  expect(await get('/models/some-model')).toMatch(/<p>studio<\/p>$/);
  const [head, body] = (await get('/assets/large-1234.js')).split('\r\n\r\n') as [string, string];
  expect(head).toMatch(/^HTTP\/1\.1 200 .*immutable/is);
  expect(body === script).toBe(true);
  expect(await get('/assets/gone.js')).toMatch(/^HTTP\/1\.1 404 /);
  const part = await answerTo(
    `GET /assets/large-1234.js HTTP/1.1\r\n${headers}\r\nRange: bytes=5-9\r\nConnection: close\r\n\r\n`,
  );
  expect(part).toMatch(/^HTTP\/1\.1 206 .*\r\n\r\nxxxxx$/s);
  const etag = /etag: (\S+)/i.exec(await get('/'))![1]!;
  const again = `GET / HTTP/1.1\r\n${headers}\r\nIf-None-Match: ${etag}\r\nConnection: close\r\n\r\n`;
  expect(await answerTo(again)).toMatch(/^HTTP\/1\.1 304 /);
  expect(await answerTo(`DELETE / HTTP/1.1\r\n${headers}\r\nConnection: close\r\n\r\n`)).toMatch(/ 405 /);
});

it.each([
  '/../secret.json',
  '/%2e%2e/secret.json',
  '/..%2fsecret.json',
  '/assets/../../secret.json',
  '/..\\secret.json',
])('does not serve files outside the page: %s', async (path) => {
  const answer = await get(path);
  expect(answer).toMatch(/^HTTP\/1\.1 (404 .*|200 .*<p>studio<\/p>)$/s);
  expect(answer).not.toContain('secret');
});

it.each([
  ['an address that cannot be decoded', '/%E0', 400],
  ['a procedure that cannot be decoded', '/rpc/%E0', 400],
  ['an address that is none', '//', 400],
])('answers %s as a mistake of the client', async (_name, path, status) => {
  expect(await get(path)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
});

it('outlives errors that nobody caught, until they do not end', () => {
  const guard = pathToFileURL(join(projectFolder, 'src-main/core/outliveErrors.ts')).href;
  const run = (count: number) =>
    spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `import { outliveErrors } from ${JSON.stringify(guard)};
        outliveErrors(() => console.log('closed'));
        for (let i = 0; i < ${count}; i++) setTimeout(() => { throw new Error('boom ' + i); }, i);
        void Promise.reject(new Error('rejected'));
        setTimeout(() => console.log('alive'), 300);`,
      ],
      { encoding: 'utf8' },
    );
  const few = run(3);
  expect(few).toMatchObject({ status: 0, stdout: 'alive\n' });
  expect(few.stderr).toMatch(/rejected[^]*boom 2/);
  expect(run(50)).toMatchObject({ status: 1, stdout: 'closed\n' });
});
