import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A Hub in small with the dataset `org/sums`; every file is sent whole, or broken off once where a test wants it. */
export interface DatasetHub {
  endpoint: string;
  files: Map<string, Buffer>;
  /** Paths that were asked for, with the range. */
  seen: { path: string; range: string | undefined; authorization: string | undefined }[];
  /** The next answer with a file ends after so many bytes. */
  cutAfter: number | null;
  /** Answers with files stop after so many bytes, and stay open. */
  stallAfter: number | null;
  /** Content that is sent in place of the right one. */
  wrong: Map<string, Buffer>;
  close(): Promise<void>;
}

const commit = 'd'.repeat(40);

export async function startDatasetHub(files: Record<string, string | Uint8Array>): Promise<DatasetHub> {
  const hub: DatasetHub = {
    endpoint: '',
    files: new Map(Object.entries(files).map(([name, content]) => [name, Buffer.from(content)])),
    seen: [],
    cutAfter: null,
    stallAfter: null,
    wrong: new Map(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const server = createServer((request, response) => {
    const { range, authorization } = request.headers;
    hub.seen.push({ path: request.url!, range, authorization });
    const url = new URL(request.url!, 'http://hub');
    const json = (value: unknown) =>
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    if (url.pathname === '/api/datasets') {
      const found = [{ id: 'org/sums', downloads: 12, likes: 3, gated: false }];
      json(url.searchParams.get('search') === 'sums' ? found : []);
      return;
    }
    const asked = url.pathname.split('/api/datasets/org/sums/revision/')[1];
    if (asked === 'main' || asked === commit) {
      const siblings = [...hub.files].map(([rfilename, content]) => ({
        rfilename,
        size: content.length,
        blobId: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
      }));
      json({ id: 'org/sums', sha: commit, cardData: { license: 'mit' }, siblings });
      return;
    }
    const begin = `/datasets/org/sums/resolve/${commit}/`;
    const name = decodeURIComponent(url.pathname.slice(begin.length));
    const content = url.pathname.startsWith(begin) ? (hub.wrong.get(name) ?? hub.files.get(name)) : undefined;
    if (!content) {
      response.writeHead(404, { 'X-Error-Code': 'RepoNotFound' }).end();
      return;
    }
    const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, {
      'Content-Length': content.length - from,
      ETag: '"one"',
      ...(from > 0 && { 'Content-Range': `bytes ${from}-${content.length - 1}/${content.length}` }),
    });
    if (hub.stallAfter !== null && hub.stallAfter < content.length - from && name !== 'README.md') {
      const part = content.subarray(from, from + hub.stallAfter);
      response.flushHeaders();
      // Progress is told four times a second: by then the first report is over.
      setTimeout(() => response.write(part), 400);
      return;
    }
    const isCut = hub.cutAfter !== null && hub.cutAfter < content.length - from && name !== 'README.md';
    if (!isCut) response.end(content.subarray(from));
    else {
      response.write(content.subarray(from, from + hub.cutAfter!));
      hub.cutAfter = null;
      setTimeout(() => response.destroy(), 200);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  hub.endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return hub;
}
