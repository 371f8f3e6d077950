import { invalidAnswer } from './hubErrors.ts';
import { askHub, bodyParts, type HubAccess } from './hubRequest.ts';
import type { Repository, RepositoryKind } from './repository.ts';

/** A file of the Hub whose bytes are coming. */
export interface RemoteFile {
  /** Where in the file the first byte stands: what was asked for, or 0 where the server does not take up again. */
  start: number;
  /** The Hub's own tag of the content; null where it gives none. */
  etag: string | null;
  parts: AsyncGenerator<Uint8Array>;
}

/** A file of a repository at a commit. */
export interface WantedFile {
  repository: string;
  commit: string;
  name: string;
  kind?: RepositoryKind;
}

/** Opens a file of a repository at a commit, from a byte on. @throws StudioError as `askHub` does */
export async function openHubFile(
  access: HubAccess,
  { repository, commit, name, kind = 'models' }: WantedFile,
  from: number,
  signal: AbortSignal,
): Promise<RemoteFile> {
  const home = kind === 'models' ? repository : `${kind}/${repository}`;
  const path = `/${home}/resolve/${commit}/${name.split('/').map(encodeURIComponent).join('/')}`;
  const { response, first } = await askHub(
    access,
    path,
    {
      subject: `The file ${name} of ${repository}`,
      repository: home,
      headers: from > 0 ? { Range: `bytes=${from}-` } : {},
    },
    signal,
  );
  const close = () => response.body?.cancel().catch(() => undefined);
  const start = startOf(response);
  if (start !== 0 && start !== from) {
    await close();
    throw invalidAnswer(`bytes from ${from} on were asked for, those from ${start} on came`);
  }
  const encoding = response.headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity') {
    await close();
    throw invalidAnswer(`${name} comes compressed (${encoding}), which was not asked for`);
  }
  const tag = first.get('x-linked-etag') ?? first.get('etag');
  return {
    start,
    etag: tag === null ? null : tag.replace(/^W\//, '').replaceAll('"', ''),
    parts: bodyParts(access, response, signal),
  };
}

/** A small file as text, no longer than the list says. @throws StudioError as `askHub` does */
export async function readHubText(
  access: HubAccess,
  { name: repository, commit, files }: Repository,
  name: string,
  mostBytes: number,
  signal: AbortSignal,
  kind: RepositoryKind = 'models',
): Promise<string> {
  const listed = files.find((file) => file.name === name)?.sizeBytes ?? 0;
  if (listed > mostBytes) throw invalidAnswer(`${name} has ${listed} bytes; at most ${mostBytes} are read`);
  const { parts } = await openHubFile(access, { repository, commit, name, kind }, 0, signal);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const part of parts) {
    size += part.length;
    if (size > listed) throw invalidAnswer(`${name} is longer than the ${listed} bytes that the list says`);
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function startOf(response: Response): number {
  if (response.status !== 206) return 0;
  const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
  if (!range) throw invalidAnswer('a part of a file comes without saying which');
  return Number(range[1]);
}
