import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const gitSha1 = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
const isLarge = (name: string) => /\.safetensors$|^tokenizer\.json$/.test(name);

export interface SeenRequest {
  host: 'hub' | 'store';
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

/** What goes wrong; changed by a test at any time. */
export interface Faults {
  /** Answers of the hub for paths that match, before anything else. */
  status: { path: RegExp; status: number; headers?: Record<string, string> } | null;
  /** The store sends so many bytes, for so many answers, and then breaks the connection or leaves it silent. */
  cut: { afterBytes: number; times: number; isSilent?: boolean } | null;
  /** The store sends whole files, whatever was asked for. */
  ignoresRange: boolean;
  /** Content that the store sends in place of the right one. */
  content: Map<string, Buffer>;
  /** The list of files, changed. */
  listing: ((listing: Listing) => unknown) | null;
  /** The hub takes requests and never answers. */
  isSilent: boolean;
  /** The store waits before each answer, in ms. */
  delayMs: number;
}

interface Listing {
  id: string;
  sha: string;
  cardData: { license: string };
  siblings: object[];
}

/**
 * A Hub in small: `org/tiny` with the files of a folder; large ones lie on a second server, to which the first sends
 * on.
 */
export interface HubServer {
  endpoint: string;
  commit: string;
  files: Map<string, Buffer>;
  faults: Faults;
  seen: SeenRequest[];
  /** Content of a token that is asked for; null: none. */
  token: string | null;
  close(): Promise<void>;
}

export async function startHubServer(folder: string): Promise<HubServer> {
  const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  const noFaults: Faults = {
    status: null,
    cut: null,
    ignoresRange: false,
    content: new Map(),
    listing: null,
    isSilent: false,
    delayMs: 0,
  };
  const hub: HubServer = {
    endpoint: '',
    commit: 'f'.repeat(40),
    files,
    faults: noFaults,
    seen: [],
    token: null,
    close: async () => {
      await Promise.all([stop(front), stop(store)]);
    },
  };
  const note = (host: SeenRequest['host'], request: IncomingMessage) =>
    hub.seen.push({
      host,
      path: request.url!,
      range: request.headers.range,
      authorization: request.headers.authorization,
    });
  const store = await listen((request, response) => {
    note('store', request);
    const name = decodeURIComponent(request.url!.split('/').at(-1)!);
    const content = hub.faults.content.get(name) ?? files.get(name)!;
    setTimeout(() => send(hub.faults, request, response, content), hub.faults.delayMs);
  });
  const front = await listen((request, response) => {
    note('hub', request);
    if (hub.faults.isSilent) return;
    answer(hub, request, response, `http://localhost:${portOf(store)}`);
  });
  hub.endpoint = `http://127.0.0.1:${portOf(front)}`;
  return hub;
}

function answer(hub: HubServer, request: IncomingMessage, response: ServerResponse, store: string): void {
  const { faults, files, commit, token } = hub;
  const url = new URL(request.url!, 'http://hub');
  if (faults.status?.path.test(request.url!)) {
    response.writeHead(faults.status.status, faults.status.headers).end();
    return;
  }
  if (token !== null && request.headers.authorization !== `Bearer ${token}`) {
    response.writeHead(401, { 'X-Error-Code': 'GatedRepo' }).end();
    return;
  }
  if (url.pathname === '/api/models') {
    const found = [{ id: 'org/tiny', downloads: 12, likes: 3, gated: 'manual', extra: true }];
    json(response, url.searchParams.get('search') === 'tiny' ? found : []);
    return;
  }
  if (url.pathname === '/api/models/old/name/revision/main') {
    response.writeHead(307, { Location: '/api/models/org/tiny/revision/main?blobs=true' }).end();
    return;
  }
  if (/^\/api\/models\/org\/tiny\/revision\/(main|v1|f{40})$/.test(url.pathname)) {
    const siblings = [...files].map(([name, content]) => ({
      rfilename: name,
      size: content.length,
      blobId: gitSha1(content),
      ...(isLarge(name) ? { lfs: { sha256: sha256(content), size: content.length, pointerSize: 130 } } : {}),
    }));
    const listing: Listing = { id: 'org/tiny', sha: commit, cardData: { license: 'mit' }, siblings };
    json(response, faults.listing ? faults.listing(listing) : listing);
    return;
  }
  const name = decodeURIComponent(url.pathname.split('/').at(-1)!);
  const content = files.get(name);
  if (url.pathname.startsWith(`/org/tiny/resolve/${commit}/`) && content) {
    if (isLarge(name)) {
      const headers = { 'X-Linked-Etag': `"${sha256(content)}"`, 'X-Linked-Size': content.length };
      response.writeHead(302, { ...headers, Location: `${store}/blobs/${name}` }).end();
    } else send({ ...faults, cut: null }, request, response, faults.content.get(name) ?? content);
    return;
  }
  const code =
    url.pathname.includes('/revision/') && url.pathname.includes('/org/tiny/') ? 'Revision' : 'Repo';
  response.writeHead(code === 'Repo' ? 401 : 404, { 'X-Error-Code': `${code}NotFound` }).end();
}

function send(faults: Faults, request: IncomingMessage, response: ServerResponse, content: Buffer): void {
  const asked = faults.ignoresRange ? null : /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
  const from = asked ? Number(asked[1]) : 0;
  if (asked && from >= content.length) {
    response.writeHead(416).end();
    return;
  }
  const body = content.subarray(from);
  response.writeHead(asked ? 206 : 200, {
    'Content-Length': body.length,
    ETag: '"store"',
    ...(asked ? { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
  });
  const { cut } = faults;
  if (!cut || cut.times === 0 || body.length <= cut.afterBytes) {
    response.end(body);
    return;
  }
  cut.times--;
  response.write(body.subarray(0, cut.afterBytes));
  if (!cut.isSilent) setTimeout(() => response.destroy(), 300);
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}

function listen(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer(handler).listen(0, () => resolve(server));
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
