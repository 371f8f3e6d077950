import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Repositories of a Hub in small that takes uploads: files by path, and how they came. */
export interface WritableHub {
  endpoint: string;
  token: string;
  repositories: Map<string, { isPrivate: boolean; commit: string | null; files: Map<string, Buffer> }>;
  /** The large-file store, by SHA-256. */
  objects: Map<string, Buffer>;
  /** Method and path of each request, in their order. */
  seen: string[];
  /** Authorization of requests to addresses of the store. */
  storeTokens: (string | undefined)[];
  /** Bytes of a part; large files are then sent in parts. */
  partBytes: number | null;
  /** The store breaks off this many uploads. */
  breaks: number;
  close(): Promise<void>;
}

/** The protocol as huggingface_hub speaks it: create, preupload, LFS batch (basic or multipart), commit. */
export async function startWritableHub(): Promise<WritableHub> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      try {
        answer(hub, request, Buffer.concat(parts), response);
      } catch (error) {
        response.writeHead(500).end(String(error));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const hub: WritableHub = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: 'hf_write',
    repositories: new Map(),
    objects: new Map(),
    seen: [],
    storeTokens: [],
    partBytes: null,
    breaks: 0,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return hub;
}

/** Parts that have come, by SHA-256. */
const parts = new Map<string, Map<number, Buffer>>();
const hash = (content: Buffer, how = 'sha256') => createHash(how).update(content).digest('hex');

function answer(hub: WritableHub, request: IncomingMessage, body: Buffer, response: ServerResponse): void {
  const url = new URL(request.url!, hub.endpoint);
  hub.seen.push(`${request.method} ${url.pathname}`);
  const json = (value: object, status = 200) =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
  const store = /^\/store\/(\w+)(?:\/(\d+))?$/.exec(url.pathname);
  if (store) {
    // Another host in truth, which sees no token.
    hub.storeTokens.push(request.headers.authorization);
    return storeAnswer(hub, { request, body, response }, store[1]!, store[2]);
  }
  if (request.headers.authorization !== `Bearer ${hub.token}`) return void response.writeHead(401).end();
  if (url.pathname === '/api/repos/create') {
    const asked = JSON.parse(body.toString()) as { name: string; organization: string; private: boolean };
    const name = `${asked.organization}/${asked.name}`;
    if (asked.organization === 'foreign') return void response.writeHead(403).end();
    if (hub.repositories.has(name)) return void json({ error: 'exists' }, 409);
    hub.repositories.set(name, { isPrivate: asked.private, commit: null, files: new Map() });
    return void json({ url: `${hub.endpoint}/${name}` });
  }
  const [, repository, rest] =
    /^\/(?:api\/models\/)?([\w-]+\/[\w-]+)(?:\.git)?\/(.*)$/.exec(url.pathname) ?? [];
  const known = hub.repositories.get(repository ?? '');
  if (!known) return void response.writeHead(404, { 'X-Error-Code': 'RepoNotFound' }).end();
  if (rest === 'revision/main') {
    if (known.commit === null)
      return void response.writeHead(404, { 'X-Error-Code': 'RevisionNotFound' }).end();
    const siblings = [...known.files].map(([rfilename, content]) => ({
      rfilename,
      size: content.length,
      blobId: hash(Buffer.concat([Buffer.from(`blob ${content.length}\0`), content]), 'sha1'),
      ...(isLarge(rfilename) && { lfs: { sha256: hash(content), size: content.length } }),
    }));
    return void json({ id: repository, sha: known.commit, siblings });
  }
  if (rest === 'preupload/main') {
    const { files } = JSON.parse(body.toString()) as {
      files: { path: string; sample: string; size: number }[];
    };
    return void json({
      files: files.map(({ path }) => ({ path, uploadMode: isLarge(path) ? 'lfs' : 'regular', oid: null })),
    });
  }
  if (rest === 'info/lfs/objects/batch') {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    return void json({ transfer: 'basic', objects: objects.map((object) => lfsAnswer(hub, object)) });
  }
  if (rest === 'commit/main') return commit(known, hub, body, json);
  response.writeHead(404).end();
}

function isLarge(path: string): boolean {
  return path.endsWith('.safetensors');
}

function lfsAnswer(hub: WritableHub, { oid, size }: { oid: string; size: number }): object {
  if (hub.objects.has(oid)) return { oid, size };
  const href = `${hub.endpoint.replace('127.0.0.1', 'localhost')}/store/${oid}`;
  if (hub.partBytes === null) return { oid, size, actions: { upload: { href, header: { 'X-Sign': 'a' } } } };
  const places = Array.from({ length: Math.ceil(size / hub.partBytes) }, (_, i) => [
    String(i + 1).padStart(5, '0'),
    `${href}/${i + 1}`,
  ]);
  const header = { chunk_size: String(hub.partBytes), ...Object.fromEntries(places) };
  return { oid, size, actions: { upload: { href, header } } };
}

function storeAnswer(
  hub: WritableHub,
  { request, body, response }: { request: IncomingMessage; body: Buffer; response: ServerResponse },
  oid: string,
  part: string | undefined,
): void {
  if (hub.breaks > 0) {
    hub.breaks--;
    request.socket.destroy();
    return;
  }
  if (Number(request.headers['content-length']) !== body.length) return void response.writeHead(411).end();
  if (part !== undefined) {
    parts.set(oid, (parts.get(oid) ?? new Map<number, Buffer>()).set(Number(part), body));
    response.writeHead(200, { ETag: `"${hash(body)}"` }).end();
    return;
  }
  let content = body;
  if (request.method === 'POST') {
    const { parts: listed } = JSON.parse(body.toString()) as {
      parts: { partNumber: number; etag: string }[];
    };
    const own = parts.get(oid)!;
    if (listed.some(({ partNumber, etag }) => etag !== `"${hash(own.get(partNumber)!)}"`))
      return void response.writeHead(400).end();
    content = Buffer.concat(listed.map(({ partNumber }) => own.get(partNumber)!));
  }
  if (hash(content) !== oid) return void response.writeHead(400).end();
  hub.objects.set(oid, content);
  response.writeHead(200).end();
}

type Line = { key: string; value: { path: string; content: string; oid: string; parentCommit?: string } };

function commit(
  known: { commit: string | null; files: Map<string, Buffer> },
  hub: WritableHub,
  body: Buffer,
  json: (value: object, status?: number) => void,
): void {
  const lines = body
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  const parent = lines[0]!.value.parentCommit ?? null;
  if (lines[0]!.key !== 'header' || parent !== known.commit) return json({ error: 'changed' }, 412);
  for (const { key, value } of lines.slice(1))
    known.files.set(
      value.path,
      key === 'file' ? Buffer.from(value.content, 'base64') : hub.objects.get(value.oid)!,
    );
  known.commit = hash(Buffer.from(randomUUID()), 'sha1');
  json({ commitOid: known.commit, commitUrl: '' });
}
