import { invalidAnswer } from './hubErrors.ts';
import { askHub, bodyParts, type HubAccess } from './hubRequest.ts';

/** A file of the Hub whose bytes are coming. */
export interface RemoteFile {
  /** Where in the file the first byte stands: what was asked for, or 0 where the server does not take up again. */
  start: number;
  /** The Hub's own tag of the content; null where it gives none. */
  etag: string | null;
  parts: AsyncGenerator<Uint8Array>;
}

/** Opens a file of a repository at a commit, from a byte on. @throws StudioError as `askHub` does */
export async function openHubFile(
  access: HubAccess,
  { repository, commit, name }: { repository: string; commit: string; name: string },
  from: number,
  signal: AbortSignal,
): Promise<RemoteFile> {
  const path = `/${repository}/resolve/${commit}/${name.split('/').map(encodeURIComponent).join('/')}`;
  const { response, first } = await askHub(
    access,
    path,
    {
      subject: `The file ${name} of ${repository}`,
      repository,
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

function startOf(response: Response): number {
  if (response.status !== 206) return 0;
  const range = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
  if (!range) throw invalidAnswer('a part of a file comes without saying which');
  return Number(range[1]);
}
