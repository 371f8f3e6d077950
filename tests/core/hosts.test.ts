import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { request as requestByTls, type RequestOptions } from 'node:https';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { browserAccessSchema } from '../../src-main/contract/browserAccess.ts';
import { StudioError } from '../../src-main/contract/errors.ts';
import type { CoreMessage, Reply } from '../../src-main/contract/transport.ts';
import { serveChannel } from '../../src-main/core/channelHost.ts';
import type { Core } from '../../src-main/core/createCore.ts';
import { startHttpHost, type HttpHost } from '../../src-main/core/httpHost.ts';
import { openTestCore } from '../support/core.ts';
import { fixtures, tinyLlama } from '../support/paths.ts';

let core: Core;
let host: HttpHost;
let origin: string;
let token: string;
let dataFile: string;

beforeAll(async () => {
  ({ core, dataFile } = openTestCore());
  host = await startHttpHost(core, { host: '127.0.0.1', port: 0 });
  const url = new URL(host.url);
  origin = url.origin;
  token = url.searchParams.get('token')!;
});
afterAll(async () => {
  await host.close();
  core.close();
});

/** A raw request, since fetch does not let one set Host and Origin. */
function raw(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(
      `${origin}${path}`,
      { method: options.method ?? 'GET', headers: options.headers ?? {} },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
        response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
      },
    );
    sent.on('error', reject);
    sent.end(options.body);
  });
}

const json = { 'Content-Type': 'application/json' };

async function callHttp(name: string, input: unknown): Promise<Reply> {
  const { body } = await raw(`/rpc/${name}`, {
    method: 'POST',
    headers: { ...json, Authorization: `Bearer ${token}` },
    body: JSON.stringify(input),
  });
  return JSON.parse(body) as Reply;
}

function callChannel(name: string, input: unknown): Promise<Reply> {
  return new Promise((resolve) => {
    const served = serveChannel(core.handlers, core.events, {
      send: (message) => {
        if (message.kind === 'reply') resolve(message.reply);
      },
    });
    served.receive({ kind: 'call', id: 1, name, input });
  });
}

function callSocket(name: string, input: unknown): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/channel`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    socket.on('error', reject);
    socket.on('open', () => socket.send(JSON.stringify({ kind: 'call', id: 7, name, input })));
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as CoreMessage;
      if (message.kind !== 'reply' || message.id !== 7) reject(new Error(`unexpected ${data.toString()}`));
      else resolve(message.reply);
      socket.terminate();
    });
  });
}

describe.each([
  ['HTTP', callHttp],
  ['channel', callChannel],
  ['WebSocket', callSocket],
])('calls over %s', (_name, call) => {
  it('returns values, fills in defaults', async () => {
    expect(await call('studio.info', {})).toMatchObject({ ok: true, value: { project: 'default' } });
    expect(await call('models.add', { folder: tinyLlama })).toMatchObject({
      ok: true,
      value: { family: 'llama' },
    });
  });
  it('returns errors in the one form', async () => {
    expect(await call('models.get', { model: 'nope' })).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
    expect(await call('models.get', { model: 7 })).toMatchObject({ ok: false, error: { code: 'usage' } });
    expect(await call('constructor', {})).toMatchObject({ ok: false, error: { code: 'usage' } });
  });
  it('says which option a refusal concerns', async () => {
    const start = (rest: object) => {
      const adapter = { method: 'lora', rank: 8, alpha: 16, ...rest };
      return call('runs.start', {
        name: 'refused',
        model: tinyLlama,
        dataset: dataFile,
        config: { adapter },
      });
    };
    expect(await start({ rank: 0 })).toMatchObject({
      error: { code: 'usage', option: ['adapter', 'rank'] },
    });
    expect(await start({ layers: [99] })).toMatchObject({
      error: { code: 'config_invalid', option: ['adapter', 'layers'] },
    });
  });
});

it.each([
  ['no token', {}, 401],
  ['a wrong token', { Authorization: `Bearer ${'0'.repeat(32)}` }, 401],
  ['another Host (DNS rebinding)', { Host: 'evil.example' }, 403],
  ['another Origin', { Origin: 'https://evil.example' }, 403],
  ['another program of this computer', { Origin: 'http://localhost:3000' }, 403],
  ['a page without an origin', { Origin: 'null' }, 403],
  ['a Host that is none', { Host: 'a b' }, 403],
])('refuses %s', async (_name, headers, status) => {
  const authorised = 'Authorization' in headers || status === 401 ? {} : { Authorization: `Bearer ${token}` };
  const answer = await raw('/rpc/studio.info', {
    method: 'POST',
    headers: { ...json, ...authorised, ...headers } as Record<string, string>,
    body: '{}',
  });
  expect(answer.status).toBe(status);
});

it('is reached through a tunnel, whose port is another', async () => {
  const headers = { ...json, Authorization: `Bearer ${token}`, Host: 'localhost:8000' };
  const post = (origin: string) =>
    raw('/rpc/studio.info', { method: 'POST', headers: { ...headers, Origin: origin }, body: '{}' });
  expect((await post('http://localhost:8000')).status).toBe(200);
  expect((await post('http://localhost:8001')).status).toBe(403);
});

it('is reached by every name of this computer where it listens everywhere, and by no other', async () => {
  const everywhere = await startHttpHost(core, { host: '0.0.0.0', port: 0 });
  const { port, searchParams } = new URL(everywhere.url);
  const outer = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address);
  expect(everywhere.otherUrls).toEqual(
    outer.map((address) => `http://${address}:${port}/?token=${searchParams.get('token')}`),
  );
  const statusFor = (name: string) =>
    new Promise((resolve, reject) => {
      const headers = { Host: `${name}:${port}` };
      request(`http://127.0.0.1:${port}/?${searchParams}`, { headers }, ({ statusCode }) =>
        resolve(statusCode),
      )
        .on('error', reject)
        .end();
    });
  for (const name of ['localhost', hostname(), hostname().toUpperCase(), ...outer])
    expect(await statusFor(name)).toBe(303);
  for (const name of ['evil.example', '192.0.2.1']) expect(await statusFor(name)).toBe(403);
  await everywhere.close();
});

describe('behind a name of its own', () => {
  const tlsFixture = (name: string) => readFileSync(join(fixtures, 'tls', name), 'utf8');

  /** What a browser gets that asks for the address with its token, under a name. */
  const visit = (served: HttpHost, port: number, options: RequestOptions) =>
    new Promise<{ status: number; cookie: string }>((resolve, reject) => {
      const send = options.ca ? requestByTls : request;
      const { search } = new URL(served.url);
      send({ host: '127.0.0.1', port, path: `/${search}`, ...options }, (response) => {
        response.resume();
        resolve({ status: response.statusCode!, cookie: String(response.headers['set-cookie']) });
      })
        .on('error', reject)
        .end();
    });

  it('answers a proxy that ends TLS, under the public name and under no other', async () => {
    const port = 20_000 + (process.pid % 10_000);
    const publicAddress = new URL('https://studio.example');
    const served = await startHttpHost(core, { host: '127.0.0.1', port, publicAddress });
    expect(served.url).toMatch(/^https:\/\/studio\.example\/\?token=[0-9a-f]{32}$/);
    const asked = (name: string) => visit(served, port, { headers: { Host: name } });
    const given = await asked('studio.example');
    expect(given.status).toBe(303);
    expect(given.cookie).toMatch(/; Secure$/);
    // Without the proxy, from this computer, there is no TLS by which a cookie could be sent.
    expect((await asked(`localhost:${port}`)).cookie).not.toContain('Secure');
    expect((await asked('evil.example')).status).toBe(403);
    const cookie = given.cookie.split(';')[0]!;
    const call = (from: string) =>
      new Promise((resolve, reject) => {
        const headers = { ...json, Host: 'studio.example', Origin: from, Cookie: cookie };
        request(
          { host: '127.0.0.1', port, path: '/rpc/studio.info', method: 'POST', headers },
          (response) => {
            response.resume();
            resolve(response.statusCode);
          },
        )
          .on('error', reject)
          .end('{}');
      });
    expect(await call('https://studio.example')).toBe(200);
    expect(await call('https://evil.example')).toBe(403);
    await served.close();
  });

  it('speaks TLS itself', async () => {
    const tls = { cert: tlsFixture('cert.pem'), key: tlsFixture('key.pem') };
    const given = '0123456789abcdef0123456789abcdef';
    const served = await startHttpHost(core, { host: '127.0.0.1', port: 0, tls, token: given });
    const { protocol, port, searchParams } = new URL(served.url);
    expect([protocol, searchParams.get('token')]).toEqual(['https:', given]);
    const { status, cookie } = await visit(served, Number(port), { ca: tls.cert });
    expect(status).toBe(303);
    expect(cookie).toMatch(/; Secure$/);
    await expect(visit(served, Number(port), {})).rejects.toThrow();
    await served.close();
  });

  it.each([
    ['other-key.pem', /key/i],
    ['cert.pem', /PEM|key|start line/i],
  ])('refuses %s as the key of a certificate', async (key, reason) => {
    const tls = { cert: tlsFixture('cert.pem'), key: tlsFixture(key) };
    await expect(startHttpHost(core, { host: '127.0.0.1', port: 0, tls })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(reason) as string,
    });
  });
});

it.each([
  ['127.0.0.1', () => Number(new URL(origin).port), /port \d+: another program uses that port/],
  ['192.0.2.77', () => 0, /192\.0\.2\.77, port 0: that is no address of this computer/],
  ['nosuch.invalid', () => 0, /that is no address of this computer/],
])('says why it cannot listen at %s', async (host, port, message) => {
  await expect(startHttpHost(core, { host, port: port() })).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringMatching(message) as string,
  });
});

it('serves browsers where a page asks for it, once at a time, until it is ended', async () => {
  const call = async (name: string, input: unknown) => {
    const reply = await callChannel(name, input);
    if (!reply.ok) throw StudioError.fromPlain(reply.error);
    return browserAccessSchema.parse(reply.value);
  };
  expect(await call('access.get', {})).toEqual({ serving: null });
  const [first, second] = await Promise.allSettled([
    call('access.serve', { everywhere: false, port: 0 }),
    call('access.serve', { everywhere: true, port: 0 }),
  ]);
  expect(second).toMatchObject({ status: 'rejected', reason: { code: 'busy' } });
  if (first.status === 'rejected') throw first.reason;
  const { url, otherUrls, canEnd } = first.value.serving!;
  expect({ otherUrls, canEnd }).toEqual({ otherUrls: [], canEnd: true });
  expect(await call('access.get', {})).toEqual(first.value);
  expect((await fetch(url, { redirect: 'manual' })).status).toBe(303);

  expect(await call('access.end', {})).toEqual({ serving: null });
  await expect(fetch(url)).rejects.toThrow('fetch failed');
  const taken = Number(new URL(origin).port);
  await expect(call('access.serve', { everywhere: false, port: taken })).rejects.toThrow('another program');
  expect(await call('access.get', {})).toEqual({ serving: null });

  await core.browsers.serve({ host: '127.0.0.1', port: 0, canEnd: false });
  await expect(call('access.end', {})).rejects.toThrow('ends with its command');
  await core.browsers.end();
});

it('ends a call only when asked to, not when its caller goes away', async () => {
  const signals: AbortSignal[] = [];
  const handlers = {
    ...core.handlers,
    'studio.doctor': (_input: object, { signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () =>
          reject(new StudioError('cancelled', 'Cancelled.', 'Start it again.')),
        ),
      );
    },
  };
  const second = await startHttpHost({ ...core, handlers }, { host: '127.0.0.1', port: 0 });
  const url = new URL(second.url);
  const headers = {
    ...json,
    Authorization: `Bearer ${url.searchParams.get('token')}`,
    'X-Studio-Call': 'a-call',
  };
  const post = (path: string, signal?: AbortSignal) =>
    fetch(`${url.origin}${path}`, { method: 'POST', headers, body: '{}', signal: signal ?? null });
  const gone = new AbortController();
  const left = post('/rpc/studio.doctor', gone.signal).catch(() => 'left');
  await expect.poll(() => signals.length).toBe(1);
  gone.abort();
  expect(await left).toBe('left');
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(signals[0]!.aborted).toBe(false);

  const waiting = post('/rpc/studio.doctor');
  await expect.poll(() => signals.length).toBe(2);
  expect((await post('/cancel/a-call')).status).toBe(204);
  expect(await (await waiting).json()).toMatchObject({ ok: false, error: { code: 'cancelled' } });
  await second.close();
});

it('trades the token for a cookie, and sets a strict policy', async () => {
  const first = await raw(`/?token=${token}`, {});
  expect(first.status).toBe(303);
  expect(first.headers['location']).toBe('/');
  expect(String(first.headers['set-cookie'])).toMatch(/HttpOnly; SameSite=Strict/);
  const policy = String(first.headers['content-security-policy']);
  expect(policy).toContain("script-src 'self'");
  expect(policy).not.toMatch(/script-src[^;]*unsafe/);
});

it('refuses bodies that are too large or no JSON', async () => {
  const headers = { ...json, Authorization: `Bearer ${token}` };
  const large = await raw('/rpc/studio.info', { method: 'POST', headers, body: 'x'.repeat(5_000_000) });
  expect(large.status).toBe(413);
  expect((await raw('/rpc/studio.info', { method: 'POST', headers, body: '{' })).status).toBe(400);
  expect((await raw('/rpc/studio.info', { headers })).status).toBe(405);
});

it('streams events over a WebSocket and replays those that a client missed', async () => {
  const [cookie] = String((await raw(`/?token=${token}`, {})).headers['set-cookie']).split(';') as [string];
  const open = async (after: { epoch: string; sequence: number } | null) => {
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/channel`, {
      headers: { Cookie: cookie },
    });
    const messages: CoreMessage[] = [];
    socket.on('message', (data: Buffer) => messages.push(JSON.parse(data.toString()) as CoreMessage));
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send(JSON.stringify({ kind: 'subscribe', after }));
    const until = async (count: number) => {
      while (messages.length < count) await new Promise((resolve) => setTimeout(resolve, 10));
      return messages;
    };
    return { socket, until };
  };
  const first = await open(null);
  await first.until(1);
  core.events.emit({ type: 'models.changed' });
  const [subscribed, event] = await first.until(2);
  if (subscribed?.kind !== 'subscribed' || event?.kind !== 'event') throw new Error('unexpected messages');
  expect(event.event).toEqual({
    epoch: subscribed.epoch,
    sequence: subscribed.sequence + 1,
    event: { type: 'models.changed' },
  });
  first.socket.terminate();
  core.events.emit({ type: 'datasets.changed' });
  const second = await open({ epoch: event.event.epoch, sequence: event.event.sequence });
  const replayed = (await second.until(2))[1];
  expect(replayed).toMatchObject({
    kind: 'event',
    event: { sequence: event.event.sequence + 1, event: { type: 'datasets.changed' } },
  });
  second.socket.terminate();
});

it('refuses a WebSocket without the token', async () => {
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/channel`);
  const status = await new Promise((resolve, reject) => {
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    socket.on('error', reject);
  });
  expect(status).toBe(401);
});
