import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer, type WebSocket } from 'ws';
import { StudioError, toPlainError } from '../contract/errors.ts';
import { contentTypes, securityHeaders } from '../contract/pageServing.ts';
import type { Reply } from '../contract/transport.ts';
import type { Core } from './createCore.ts';
import { serveChannel } from './channelHost.ts';
import { dispatch } from './dispatch.ts';
import { createServerAccess, type ServerAccess } from './serverAccess.ts';

const rendererFolder = fileURLToPath(new URL('../../out/renderer/', import.meta.url));
const maxBodyBytes = 4 * 1024 * 1024;

/** Names a call, so that `POST /cancel/<name>` can end it: a page that is reloaded has not cancelled what it began. */
const callHeader = 'x-studio-call';
const calls = new Map<string, AbortController>();

export interface HttpHost {
  /** Address with the token, for this computer. */
  url: string;
  /** The same for others that reach it; none where it listens at one address alone. */
  otherUrls: readonly string[];
  close(): Promise<void>;
}

/**
 * Serves the studio to a browser: the built page, `POST /rpc/<procedure>`, and a WebSocket `/channel` for events.
 * Who may use it, serverAccess.ts says.
 * @throws StudioError usage where it cannot listen there
 */
export async function startHttpHost(core: Core, options: { host: string; port: number }): Promise<HttpHost> {
  const access = createServerAccess(options.host);
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    handle(core, access, request, response).catch((error: unknown) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500).end();
    });
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxBodyBytes });
  server.on('upgrade', (request, socket, head) => {
    const refused = access.refusal(request);
    if (refused !== null || pathOf(request) !== '/channel') {
      socket.end(`HTTP/1.1 ${refused ?? 404} Refused\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => serveSocket(core, webSocket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: access.url(port),
    otherUrls: access.otherUrls(port),
    close: () =>
      new Promise((resolve) => {
        for (const client of sockets.clients) client.terminate();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function cannotListen(
  error: NodeJS.ErrnoException,
  { host, port }: { host: string; port: number },
): StudioError {
  const [reason, remedy] =
    error.code === 'EADDRINUSE'
      ? ['another program uses that port', 'Choose another port, or 0 for one that is free.']
      : error.code === 'EACCES'
        ? ['the system keeps that port for itself', 'Choose a port from 1024 on, or 0 for one that is free.']
        : [
            'that is no address of this computer',
            'Choose 127.0.0.1 for this computer alone, or 0.0.0.0 for all of its addresses.',
          ];
  return new StudioError('usage', `The studio cannot listen at ${host}, port ${port}: ${reason}.`, remedy);
}

function pathOf(request: IncomingMessage): string {
  return new URL(request.url ?? '/', 'http://studio').pathname;
}

async function handle(
  core: Core,
  access: ServerAccess,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://studio');
  const cookie = access.cookieFor(request);
  if (cookie !== null) {
    response.setHeader('Set-Cookie', cookie);
    response.writeHead(303, { Location: '/' }).end();
    return;
  }
  const refused = access.refusal(request);
  if (refused !== null) {
    const words =
      refused === 401 ? 'Open the address that the studio printed: it carries the token.' : 'Refused.';
    response.writeHead(refused, { 'Content-Type': 'text/plain; charset=utf-8' }).end(words);
    return;
  }
  if (url.pathname.startsWith('/rpc/')) {
    await handleCall(core, url.pathname.slice('/rpc/'.length), request, response);
    return;
  }
  if (url.pathname === '/upload/dataset') {
    await handleUpload(core, url.searchParams.get('name') ?? '', request, response);
    return;
  }
  if (url.pathname.startsWith('/cancel/') && request.method === 'POST') {
    calls.get(url.pathname.slice('/cancel/'.length))?.abort();
    response.writeHead(204).end();
    return;
  }
  sendFile(url.pathname, request, response);
}

async function handleCall(
  core: Core,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'POST' || !request.headers['content-type']?.startsWith('application/json')) {
    response.writeHead(405).end();
    return;
  }
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBodyBytes) {
      response.writeHead(413, { Connection: 'close' }).end();
      return;
    }
    parts.push(part);
  }
  let input: unknown;
  try {
    input = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    response.writeHead(400).end();
    return;
  }
  const controller = new AbortController();
  const key = request.headers[callHeader];
  if (typeof key === 'string') calls.set(key, controller);
  const reply = await dispatch(core.handlers, decodeURIComponent(name), input, controller.signal);
  if (typeof key === 'string') calls.delete(key);
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(reply));
}

/** `POST /upload/dataset?name=...` with the file as body: answers as a procedure does, with the dataset. */
async function handleUpload(
  core: Core,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const sizeBytes = Number(request.headers['content-length'] ?? Number.NaN);
  // A form of another page cannot send this type without being asked about first.
  const isFile = request.headers['content-type'] === 'application/octet-stream';
  if (request.method !== 'POST' || !isFile || !Number.isSafeInteger(sizeBytes)) {
    response.writeHead(405, { Connection: 'close' }).end();
    return;
  }
  const reply = await core
    .receiveDataset({ name, sizeBytes, parts: request as AsyncIterable<Buffer> })
    .then<Reply, Reply>(
      (value) => ({ ok: true, value }),
      (error: unknown) => ({ ok: false, error: toPlainError(error) }),
    );
  // A browser reads no answer before it has sent its whole file.
  request.resume();
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(reply));
}

/** A file of the built page; unknown paths are pages of it (deep links). */
function sendFile(path: string, request: IncomingMessage, response: ServerResponse): void {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405).end();
    return;
  }
  const wanted = normalize(join(rendererFolder, decodeURIComponent(path)));
  const isInside = wanted.startsWith(rendererFolder);
  const isFile = isInside && statSync(wanted, { throwIfNoEntry: false })?.isFile() === true;
  const file = isFile ? wanted : join(rendererFolder, 'index.html');
  if ((!isFile && extname(path) !== '') || !statSync(file, { throwIfNoEntry: false })) {
    response
      .writeHead(404, { 'Content-Type': 'text/plain' })
      .end('Not found. Is the page built (npm run build)?');
    return;
  }
  response.setHeader('Content-Type', contentTypes[extname(file)] ?? 'application/octet-stream');
  response.setHeader(
    'Cache-Control',
    file.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-store',
  );
  if (request.method === 'HEAD') response.end();
  else createReadStream(file).pipe(response);
}

function serveSocket(core: Core, socket: WebSocket): void {
  const served = serveChannel(core.handlers, core.events, {
    send: (message) => {
      if (socket.readyState === socket.OPEN) socket.send(JSON.stringify(message));
    },
  });
  socket.on('message', (data) => {
    try {
      served.receive(JSON.parse(String(data)));
    } catch {
      socket.close(1003);
    }
  });
  socket.on('close', () => served.close());
}
