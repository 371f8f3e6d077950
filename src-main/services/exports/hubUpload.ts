import { openAsBlob } from 'node:fs';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import { cancelled } from '../machine/disk.ts';
import { invalidAnswer, statusError, switchedOff, unreachable } from '../models/hub/hubErrors.ts';
import type { HubAccess } from '../models/hub/hubRequest.ts';

/** A file that is to be uploaded. */
export interface FileToUpload {
  /** In the repository, with slashes. */
  path: string;
  sizeBytes: number;
  sha256: string;
  /** Where it lies, or what it holds. */
  content: { file: string } | Buffer;
}

/** The Hub looks at so many bytes from the begin to tell text from other files. */
const sampleBytes = 512;
const lfsType = 'application/vnd.git-lfs+json';
/** Objects that the large-file store is asked for at a time. */
const objectsAtOnce = 100;
const mostAnswerBytes = 8 * 1024 * 1024;

const address = z.string().regex(/^https?:\/\//);
const actionSchema = z.object({ href: address, header: z.record(z.string(), z.string()).default({}) });
const batchSchema = z.object({
  objects: z.array(
    z.object({
      oid: z.string(),
      actions: z.object({ upload: actionSchema.optional(), verify: actionSchema.optional() }).nullish(),
      error: z.object({ message: z.string() }).nullish(),
    }),
  ),
});
const preuploadSchema = z.object({
  files: z.array(z.object({ path: z.string(), uploadMode: z.enum(['lfs', 'regular']) })),
});
const commitSchema = z.object({ commitOid: z.string().regex(/^[0-9a-f]{40}$/) });

/**
 * Makes a repository. @returns false where it is there already
 * @throws StudioError hub_unreachable, hub_denied, hub_rate_limited, hub_invalid
 */
export async function createRepository(
  access: HubAccess,
  { repository, isPrivate }: { repository: string; isPrivate: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const [organization, name] = repository.split('/');
  const body = { type: 'model', name, organization, private: isPrivate };
  const response = await post(access, '/api/repos/create', { repository, body }, signal, [409]);
  return response.status !== 409;
}

/**
 * Puts files into a repository's branch main as one commit: large ones first into the large-file store, which keeps
 * what has arrived, so that a second attempt sends only what is missing. Until the commit nothing of it is seen.
 * @param about.parent the commit that it is to follow; null: a new repository
 * @returns the commit
 */
export async function uploadFiles(
  access: HubAccess,
  about: { repository: string; files: readonly FileToUpload[]; summary: string; parent: string | null },
  signal: AbortSignal,
  report: (done: number, total: number) => void,
): Promise<string> {
  const { repository, files, summary, parent } = about;
  const samples = await Promise.all(
    files.map(async (file) => {
      const begin = (await blobOf(file)).slice(0, sampleBytes);
      const sample = Buffer.from(await begin.arrayBuffer()).toString('base64');
      return { path: file.path, size: file.sizeBytes, sample };
    }),
  );
  const path = `/api/models/${repository}/preupload/main`;
  const asked = await post(access, path, { repository, body: { files: samples } }, signal);
  const modes = new Map(
    (await answer(asked, preuploadSchema)).files.map((file) => [file.path, file.uploadMode]),
  );
  const large = files.filter((file) => modes.get(file.path) !== 'regular');
  const total = large.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let done = 0;
  report(done, total);
  for (let first = 0; first < large.length; first += objectsAtOnce)
    await uploadLarge(access, repository, large.slice(first, first + objectsAtOnce), signal, (bytes) =>
      report((done += bytes), total),
    );
  const lines = [
    { key: 'header', value: { summary, description: '', ...(parent !== null && { parentCommit: parent }) } },
    ...(await Promise.all(files.map(async (file) => commitLine(file, large.includes(file))))),
  ];
  const body = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const committed = await post(
    access,
    `/api/models/${repository}/commit/main`,
    { repository, body, type: 'application/x-ndjson' },
    signal,
    [412],
  );
  if (committed.status === 412)
    throw new StudioError(
      'busy',
      `${repository} was changed on the Hub while the files were sent: nothing was committed.`,
      'Look at what changed there, then push again: the large files have arrived already.',
    );
  return (await answer(committed, commitSchema)).commitOid;
}

async function commitLine(file: FileToUpload, isLarge: boolean): Promise<object> {
  const { path, sizeBytes: size, sha256: oid } = file;
  if (isLarge) return { key: 'lfsFile', value: { path, algo: 'sha256', oid, size } };
  const content = Buffer.from(await (await blobOf(file)).arrayBuffer()).toString('base64');
  return { key: 'file', value: { path, encoding: 'base64', content } };
}

/** Sends to the large-file store what it does not have. */
async function uploadLarge(
  access: HubAccess,
  repository: string,
  files: readonly FileToUpload[],
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const objects = files.map(({ sha256: oid, sizeBytes: size }) => ({ oid, size }));
  const body = { operation: 'upload', transfers: ['basic', 'multipart'], hash_algo: 'sha_256', objects };
  const path = `/${repository}.git/info/lfs/objects/batch`;
  const asked = await post(access, path, { repository, body: JSON.stringify(body), type: lfsType }, signal);
  const answers = new Map((await answer(asked, batchSchema)).objects.map((object) => [object.oid, object]));
  for (const file of files) {
    const object = answers.get(file.sha256);
    if (!object || object.error)
      throw invalidAnswer(
        `it does not take ${file.path}: ${object?.error?.message ?? 'nothing is said of it'}`,
      );
    const { upload, verify } = object.actions ?? {};
    if (upload) await send(access, file, upload, signal, onBytes);
    else onBytes(file.sizeBytes);
    if (verify)
      await ended(
        access,
        fetch(verify.href, {
          method: 'POST',
          headers: { ...verify.header, ...tokenFor(access, verify.href), 'Content-Type': lfsType },
          body: JSON.stringify({ oid: file.sha256, size: file.sizeBytes }),
          signal,
        }),
        { repository, signal },
      );
  }
}

/** One file, whole or in the parts that the store wants. */
async function send(
  access: HubAccess,
  file: FileToUpload,
  { href, header }: z.infer<typeof actionSchema>,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const blob = await blobOf(file);
  const { chunk_size: chunk, ...rest } = header;
  const about = { repository: file.path, signal };
  if (chunk === undefined) {
    await ended(access, fetch(href, { method: 'PUT', headers: rest, body: blob, signal }), about);
    onBytes(blob.size);
    return;
  }
  const bytes = Number(chunk);
  const places = Object.keys(rest)
    .filter((key) => /^\d+$/.test(key))
    .sort((a, b) => Number(a) - Number(b));
  if (!(bytes > 0) || places.length !== Math.ceil(blob.size / bytes))
    throw invalidAnswer(`it wants ${file.path} in ${places.length} parts of ${chunk} bytes`);
  const parts: { partNumber: number; etag: string }[] = [];
  for (const [i, place] of places.entries()) {
    const part = blob.slice(i * bytes, (i + 1) * bytes);
    const url = address.safeParse(rest[place]);
    if (!url.success) throw invalidAnswer(`part ${place} of ${file.path} has no address`);
    const put = fetch(url.data, { method: 'PUT', body: part, signal });
    const etag = (await ended(access, put, about)).headers.get('etag');
    if (etag === null) throw invalidAnswer(`part ${place} of ${file.path} was not acknowledged`);
    parts.push({ partNumber: Number(place), etag });
    onBytes(part.size);
  }
  const headers = { Accept: lfsType, 'Content-Type': lfsType, ...tokenFor(access, href) };
  const body = JSON.stringify({ oid: file.sha256, parts });
  await ended(access, fetch(href, { method: 'POST', headers, body, signal }), about);
}

function blobOf({ content }: FileToUpload): Promise<Blob> {
  return Buffer.isBuffer(content)
    ? Promise.resolve(new Blob([new Uint8Array(content)]))
    : openAsBlob(content.file);
}

/** The token goes to the endpoint's own origin and nowhere else. */
function tokenFor(access: HubAccess, url: string): Record<string, string> {
  const token = access.token();
  return token && new URL(url).origin === new URL(access.endpoint).origin
    ? { Authorization: `Bearer ${token.value}` }
    : {};
}

async function post(
  access: HubAccess,
  path: string,
  {
    repository,
    body,
    type = 'application/json',
  }: { repository: string; body: object | string; type?: string },
  signal: AbortSignal,
  expected: readonly number[] = [],
): Promise<Response> {
  if (access.isOffline) throw switchedOff();
  const url = `${access.endpoint}${path}`;
  const request = fetch(url, {
    method: 'POST',
    headers: {
      ...tokenFor(access, url),
      Accept: type === lfsType ? lfsType : 'application/json',
      'Content-Type': type,
      'User-Agent': 'id-lora-studio',
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    // A token is sent on to no other place.
    redirect: 'manual',
    signal,
  });
  return ended(access, request, { repository, signal }, expected);
}

/** The answer of a request that succeeded, or that has one of the statuses that are expected. */
async function ended(
  access: HubAccess,
  request: Promise<Response>,
  { repository, signal }: { repository: string; signal: AbortSignal },
  expected: readonly number[] = [],
): Promise<Response> {
  let response: Response;
  try {
    response = await request;
  } catch (error) {
    throw signal.aborted ? cancelled('The push') : unreachable(access.endpoint, error);
  }
  if (response.ok || expected.includes(response.status)) return response;
  await response.body?.cancel().catch(() => undefined);
  const token = access.token();
  if (response.status === 401 || response.status === 403)
    throw new StudioError(
      'hub_denied',
      token
        ? `The Hub does not let this access token write to ${repository}.`
        : `Writing to ${repository} needs an access token.`,
      'Make a token with the right to write in your account’s settings on the Hub, and give it in the studio’s Settings.',
    );
  if (response.status >= 300 && response.status < 400)
    throw invalidAnswer('it sends an upload on to another place: name the repository as it is called now');
  throw statusError(response, repository, repository, access.endpoint, token?.source ?? null);
}

async function answer<T>(response: Response, schema: z.ZodType<T>): Promise<T> {
  const text = await response.text();
  if (text.length > mostAnswerBytes) throw invalidAnswer('it is too long');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalidAnswer('it is no JSON', error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw invalidAnswer(`it is not as expected (${parsed.error.issues[0]?.path.join('.')})`, parsed.error);
}
