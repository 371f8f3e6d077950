import { z } from 'zod';
import { StudioError } from '../../../contract/errors.ts';
import type { HubModel } from '../../../contract/modelLibrary.ts';
import { invalidAnswer } from './hubErrors.ts';
import { askHub, bodyText, type HubAccess } from './hubRequest.ts';

/** A file of a repository, as the Hub lists it. Exactly one of the hashes is known. */
export interface ListedFile {
  name: string;
  sizeBytes: number;
  /** Of the content, for large files. */
  sha256: string | null;
  /** Git's hash of the file as a blob, for small ones. */
  gitSha1: string | null;
}

/** What a repository holds: the Hub keeps both kinds apart. */
export type RepositoryKind = 'models' | 'datasets';

export interface Repository {
  name: string;
  /** What was asked for, for example `main`. */
  revision: string;
  /** What it pointed to: all files are taken from there. */
  commit: string;
  /** As its card states it. */
  licence: string | null;
  files: ListedFile[];
}

const listingSchema = z.object({
  id: z.string(),
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  cardData: z.object({ license: z.unknown(), license_name: z.unknown() }).partial().nullish().catch(null),
  siblings: z.array(
    z.object({
      rfilename: z.string(),
      size: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
      blobId: z
        .string()
        .regex(/^[0-9a-f]{40}$/)
        .optional(),
      lfs: z
        .object({
          sha256: z.string().regex(/^[0-9a-f]{64}$/),
          size: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
        })
        .nullish(),
    }),
  ),
});

const searchSchema = z.array(
  z.object({
    id: z.string(),
    downloads: z.number().optional(),
    likes: z.number().optional(),
    gated: z.union([z.boolean(), z.string()]).optional(),
  }),
);

/**
 * The repository that a person means by a name or a pasted address of its page.
 * @throws StudioError usage where it is neither
 */
export function parseRepository(given: string): { repository: string; revision: string | null } {
  let text = given.trim();
  let revision: string | null = null;
  if (/^https?:\/\//.test(text) && URL.canParse(text)) {
    const all = new URL(text).pathname.split('/').filter(Boolean).map(decodeURIComponent);
    const parts = all[0] === 'datasets' ? all.slice(1) : all;
    text = parts.slice(0, 2).join('/');
    if (['tree', 'blob', 'resolve'].includes(parts[2] ?? '')) revision = parts[3] ?? null;
  }
  const isName = (part: string) =>
    /^[\w](?:[\w.-]{0,94}[\w])?$/.test(part) && !part.includes('..') && !part.includes('--');
  const parts = text.split('/');
  if (parts.length > 2 || !parts.every(isName))
    throw new StudioError(
      'usage',
      `"${given}" is no name of a repository.`,
      'Give organisation/name, for example Qwen/Qwen3-0.6B, or paste the address of its page.',
    );
  return { repository: text, revision };
}

function checkRevision(revision: string): string {
  if (/^[\w][\w./-]{0,120}$/.test(revision) && !revision.includes('..')) return revision;
  throw new StudioError(
    'usage',
    `"${revision}" is no revision.`,
    'Give a branch, a tag or a commit; leave it empty for main.',
  );
}

/**
 * Files and commit of a repository at a revision.
 * @throws StudioError not_found, hub_denied, hub_unreachable, hub_rate_limited; hub_invalid for a list that cannot be
 * trusted
 */
export async function listRepository(
  access: HubAccess,
  name: string,
  revision: string,
  signal: AbortSignal,
  kind: RepositoryKind = 'models',
): Promise<Repository> {
  const path = `/api/${kind}/${name}/revision/${encodeURIComponent(checkRevision(revision))}?blobs=true`;
  const about =
    kind === 'models'
      ? { subject: `The model ${name}`, repository: name }
      : { subject: `The dataset ${name}`, repository: `datasets/${name}` };
  const text = await bodyText(access, await askHub(access, path, about, signal), signal);
  const listing = parse(listingSchema, text);
  const files = listing.siblings.map(({ rfilename, size, blobId, lfs }) => ({
    name: checkFileName(rfilename),
    sizeBytes: lfs?.size ?? size ?? -1,
    sha256: lfs?.sha256 ?? null,
    gitSha1: lfs ? null : (blobId ?? null),
  }));
  if (new Set(files.map((file) => file.name)).size !== files.length)
    throw invalidAnswer('it names a file twice');
  // One that was renamed is asked for under its new name from here on.
  const { repository } = parseRepository(listing.id);
  return { name: repository, revision, commit: listing.sha, licence: licenceOf(listing.cardData), files };
}

function licenceOf(card: { license?: unknown; license_name?: unknown } | null | undefined): string | null {
  const { license, license_name: name } = card ?? {};
  const stated = Array.isArray(license) ? license.join(', ') : license;
  const chosen = stated === 'other' && typeof name === 'string' ? name : stated;
  return typeof chosen === 'string' && chosen.trim() !== '' ? chosen.slice(0, 120) : null;
}

/** @throws StudioError hub_invalid for a name that could lead out of the folder it is written to */
function checkFileName(name: string): string {
  const parts = name.split('/');
  const isSafe =
    name.length <= 500 &&
    !/[\\:\u0000-\u001f\u007f]/.test(name) &&
    parts.every((part) => part !== '' && part !== '.' && part !== '..');
  if (isSafe) return name;
  throw invalidAnswer(
    `it names the file ${JSON.stringify(name.slice(0, 80))}, which leads out of its folder; nothing was downloaded`,
  );
}

/** Models for text generation, or datasets, whose name holds the words, most downloaded first. */
export async function searchHub(
  access: HubAccess,
  query: string,
  limit: number,
  signal: AbortSignal,
  kind: RepositoryKind = 'models',
): Promise<HubModel[]> {
  const asked = new URLSearchParams({
    search: query,
    ...(kind === 'models' && { filter: 'text-generation' }),
    sort: 'downloads',
    direction: '-1',
    limit: String(limit),
  });
  const about = { subject: `The list of ${kind}`, repository: null };
  const answer = await askHub(access, `/api/${kind}?${asked}`, about, signal);
  return parse(searchSchema, await bodyText(access, answer, signal))
    .slice(0, limit)
    .map(({ id, downloads, likes, gated }) => ({
      repository: id,
      downloads: downloads ?? null,
      likes: likes ?? null,
      isGated: gated !== undefined && gated !== false,
    }));
}

function parse<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalidAnswer('it is not JSON (is HF_ENDPOINT the address of a Hub?)', error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  throw invalidAnswer(`${issue.path.join('.') || 'it'}: ${issue.message}`);
}
