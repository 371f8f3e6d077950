import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import sirv from 'sirv';
import { WebSocketServer } from 'ws';
import { StudioError, toPlainError } from '../contract/errors.ts';
import { securityHeaders } from '../channel/pageServing.ts';
import type { Reply } from '../contract/transport.ts';
import { isPackaged } from '../setup/paths.mjs';
import { serveSocket, type ServedCore } from './channelHost.ts';
import { dispatch } from './dispatch.ts';
import { createServerAccess, type ServedPlace, type ServerAccess } from './serverAccess.ts';

const builtPage = fileURLToPath(new URL('../../out/renderer/', import.meta.url));
const maxBodyBytes = 4 * 1024 * 1024;

/** Names a call, so that `POST /cancel/<name>` can end it: a page that is reloaded has not cancelled what it began. */
const callHeader = 'x-studio-call';

export interface HttpHost {
  /** Address with the token, for this computer. */
  url: string;
  /** The same for others that reach it; none where it listens at one address alone. */
  otherUrls: readonly string[];
  close(): Promise<void>;
}

/**
 * Serves the studio to a browser: the built page, `POST /rpc/<procedure>`, and a WebSocket `/channel` for events.
 * Who may use it, serverAccess.ts says. Whatever a client does to its connection ends that connection alone.
 * @param options.pageFolder the built page; tests give their own
 * @throws StudioError usage where it cannot listen there
 */
export async function startHttpHost(
  core: ServedCore,
  options: ServedPlace & { pageFolder?: string },
): Promise<HttpHost> {
  const access = createServerAccess(options);
  const handle = createHandler(core, access, servePage(options.pageFolder ?? builtPage));
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    handle(request, response).catch((error: unknown) => {
      // A client that leaves in the middle of its request is nobody's fault.
      if (!request.destroyed) console.error(error);
      if (response.headersSent) response.destroy();
      else response.writeHead(500).end();
    });
  };
  // An import would read all exports of http, one of which loads all of fetch: 85 ms.
  const { createServer } = process.getBuiltinModule('node:http');
  const server = options.tls ? openTls(options.tls, answer) : createServer(answer);
  const sockets = new WebSocketServer({ noServer: true, maxPayload: maxBodyBytes });
  server.on('upgrade', (request, socket, head) => {
    // The server has given the socket away: nobody else hears of its errors.
    socket.on('error', () => socket.destroy());
    const refused = access.refusal(request);
    if (refused !== null || addressOf(request)?.pathname !== '/channel') {
      socket.end(`HTTP/1.1 ${refused ?? 404} Refused\r\nConnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => serveSocket(core, webSocket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(cannotListen(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  // A connection that cannot be accepted, say, for want of descriptors.
  server.on('error', (error) => console.error(error));
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

/** @throws StudioError usage where certificate and key are none, or do not belong together */
function openTls(
  tls: { cert: string; key: string },
  answer: (request: IncomingMessage, response: ServerResponse) => void,
) {
  try {
    return process.getBuiltinModule('node:https').createServer(tls, answer);
  } catch (error) {
    throw new StudioError(
      'usage',
      `The certificate and its key cannot be used: ${error instanceof Error ? error.message : String(error)}.`,
      'Give a certificate (with its chain) and the private key that belongs to it, both in PEM, without a password.',
    );
  }
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

/** Null where the address of a request cannot be read. */
function addressOf(request: IncomingMessage): URL | null {
  const address = URL.parse(request.url ?? '/', 'http://studio');
  try {
    decodeURIComponent(address?.pathname ?? '');
    return address;
  } catch {
    return null;
  }
}

function createHandler(
  core: ServedCore,
  access: ServerAccess,
  sendPage: (request: IncomingMessage, response: ServerResponse) => void,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  /** Calls under way that have a name. */
  const calls = new Map<string, AbortController>();
  return async (request, response) => {
    const url = addressOf(request);
    if (url === null) {
      response.writeHead(400).end();
      return;
    }
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
      await handleCall(
        core,
        calls,
        decodeURIComponent(url.pathname.slice('/rpc/'.length)),
        request,
        response,
      );
      return;
    }
    if (url.pathname === '/upload/file') {
      await handleUpload(core, url.searchParams, request, response);
      return;
    }
    if (url.pathname.startsWith('/cancel/') && request.method === 'POST') {
      calls.get(url.pathname.slice('/cancel/'.length))?.abort();
      response.writeHead(204).end();
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405).end();
      return;
    }
    sendPage(request, response);
  };
}

async function handleCall(
  core: ServedCore,
  calls: Map<string, AbortController>,
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
    // The rest is read and dropped: a client reads no answer before it has sent all.
    if (size <= maxBodyBytes) parts.push(part);
  }
  if (size > maxBodyBytes) {
    response.writeHead(413, { Connection: 'close' }).end();
    return;
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
  try {
    const reply = await dispatch(core.handlers, name, input, controller.signal);
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(reply));
  } finally {
    if (typeof key === 'string') calls.delete(key);
  }
}

/** `POST /upload/file?batch=...&name=...` with the file as body: answers as a procedure does, with its path. */
async function handleUpload(
  core: ServedCore,
  asked: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [batch, name] = [asked.get('batch') ?? '', asked.get('name') ?? ''];
  const sizeBytes = Number(request.headers['content-length'] ?? Number.NaN);
  // A form of another page cannot send this type without being asked about first.
  const isFile = request.headers['content-type'] === 'application/octet-stream';
  if (request.method !== 'POST' || !isFile || !Number.isSafeInteger(sizeBytes)) {
    response.writeHead(405, { Connection: 'close' }).end();
    return;
  }
  const reply = await core
    .receiveFile({ batch, name, sizeBytes, parts: request as AsyncIterable<Buffer> })
    .then<Reply, Reply>(
      (value) => ({ ok: true, value }),
      (error: unknown) => ({ ok: false, error: toPlainError(error) }),
    );
  // A browser reads no answer before it has sent its whole file.
  request.resume();
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(reply));
}

/** Files of the built page; unknown paths without extension are pages of it (deep links). */
function servePage(folder: string): (request: IncomingMessage, response: ServerResponse) => void {
  const serve = sirv(folder, {
    // The page may be built anew under a running server.
    dev: true,
    etag: true,
    single: true,
    onNoMatch: (_request, response) =>
      void response
        .writeHead(404, { 'Content-Type': 'text/plain' })
        .end(isPackaged ? 'Not found.' : 'Not found. Is the page built (npm run build)?'),
    // The names of these files change with what they hold.
    setHeaders: (response, path) => {
      if (path.startsWith('/assets/'))
        response.setHeader('Cache-Control', 'public, max-age=31536000, immutable');
    },
  });
  return (request, response) => {
    // What sirv pipes, nobody watches: a file that vanishes, a browser that leaves in the middle of it.
    response.once('pipe', (file: Readable) => {
      file.on('error', () => response.destroy());
      response.once('close', () => file.destroy());
    });
    serve(request, response);
  };
}
