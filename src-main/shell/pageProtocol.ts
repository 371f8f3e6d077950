import { readFileSync, statSync } from 'node:fs';
import { extname, join, normalize, sep } from 'node:path';
import { protocol } from 'electron';
import { contentTypes, securityHeaders } from '../channel/pageServing.ts';

const scheme = 'studio';
/** Origin of the page in the window. */
export const pageOrigin = `${scheme}://app`;

/** Must run before Electron is ready. */
export function declarePageProtocol(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme, privileges: { standard: true, secure: true, supportFetchAPI: true } },
  ]);
}

/** Serves the built page, and nothing else, to the window; addresses without extension are pages of it (deep links). */
export function servePage(folder: string): void {
  const root = normalize(folder + sep);
  // Electron before 25 has no `handle`; later ones warn of what it replaced.
  if (typeof protocol.handle === 'function')
    protocol.handle(scheme, (request) => {
      const { status, headers, body } = respond(root, request.url);
      return new Response(new Uint8Array(body), { status, headers });
    });
  else
    protocol.registerBufferProtocol(scheme, (request, callback) => {
      const { status, headers, body } = respond(root, request.url);
      callback({ statusCode: status, headers, data: body });
    });
}

interface PageResponse {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** The answer to a request of the window. */
export function respond(root: string, address: string): PageResponse {
  const { pathname } = new URL(address);
  const wanted = normalize(join(root, decodeURIComponent(pathname)));
  const isFile = wanted.startsWith(root) && statSync(wanted, { throwIfNoEntry: false })?.isFile() === true;
  if (!isFile && extname(pathname) !== '')
    return { status: 404, headers: { ...securityHeaders }, body: Buffer.alloc(0) };
  const file = isFile ? wanted : join(root, 'index.html');
  const type = contentTypes[extname(file)] ?? 'application/octet-stream';
  return { status: 200, headers: { ...securityHeaders, 'Content-Type': type }, body: readFileSync(file) };
}
