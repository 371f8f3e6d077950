import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { plainErrorSchema, StudioError, toPlainError } from '../../contract/errors.ts';
import type { ProcedureHandlers } from '../../contract/procedures.ts';
import { releaseSchema, type Release, type Updates } from '../../contract/machine.ts';
import { writeFileAtomic } from '../../formats/files/atomicFile.ts';
import { studioVersion } from './machine.ts';
import {
  compareVersions,
  isAsSafe,
  readRelease,
  releaseFileName,
  versionPattern,
  type Platform,
} from './releaseFile.ts';

export interface UpdateService {
  get(): Updates;
  /** Keeps what the user decided. */
  allow(isAllowed: boolean): Updates;
  /**
   * Asks the channel for its newest release. Sent is a request for one file, without a word about this installation.
   * @param daily only where the user agreed, and once a day; what fails then is kept as `problem` and not thrown
   * @throws StudioError update_unavailable
   */
  look(daily: boolean, signal: AbortSignal): Promise<Updates>;
}

/**
 * What is kept between two starts; a damaged file is none, which takes the consent back and never gives it. What
 * belongs to another address does not count either: nobody agreed to this one.
 */
const keptSchema = z.object({
  channel: z.string().nullable().default(null),
  isAllowed: z.boolean().default(false),
  lookedAt: z.iso.datetime().nullable().default(null),
  found: releaseSchema
    .extend({ version: z.string().regex(versionPattern) })
    .nullable()
    .default(null),
  problem: plainErrorSchema.nullable().default(null),
});
type Kept = z.infer<typeof keptSchema>;

const dayMs = 24 * 3600 * 1000;
const timeoutMs = 15_000;
/** A list of a release has some hundred bytes for each file; one of a megabyte can keep the YAML reader for minutes. */
const mostBytes = 32 * 1024;

/** @param options.file what is kept, in the data folder  @param options.channel null: nothing is ever asked */
export function createUpdateService({
  file,
  channel,
  version = studioVersion,
  here = { platform: process.platform, arch: process.arch, isImage: Boolean(process.env['APPIMAGE']) },
  now = Date.now,
}: {
  file: string;
  channel: string | null;
  version?: string;
  here?: Platform;
  now?: () => number;
}): UpdateService {
  const kept = (): Kept => {
    try {
      if (existsSync(file)) {
        const found = keptSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
        if (found.channel === channel) return found;
      }
    } catch {
      // As if it were not there.
    }
    return keptSchema.parse({ channel });
  };
  const keep = (change: Partial<Kept>) =>
    writeFileAtomic(file, `${JSON.stringify({ ...kept(), ...change }, null, 1)}\n`);
  const get = (): Updates => {
    const { found, ...rest } = kept();
    // The application may have been replaced since.
    const isNewer = found !== null && compareVersions(found.version, version) > 0;
    return { ...rest, found: found && { ...found, isNewer } };
  };
  const ask = async (address: string, signal: AbortSignal): Promise<void> => {
    try {
      const found = await askRelease(address, { version, here }, signal);
      keep({ found, problem: null, lookedAt: new Date(now()).toISOString() });
    } catch (error) {
      if (!signal.aborted) keep({ problem: toPlainError(error), lookedAt: new Date(now()).toISOString() });
      throw error;
    }
  };
  return {
    get,
    allow(isAllowed) {
      keep({ isAllowed });
      return get();
    },
    async look(daily, signal) {
      if (daily) {
        const { isAllowed, lookedAt } = kept();
        // A clock that was set back must not put it off until the time that it once had.
        const isDue = lookedAt === null || Math.abs(now() - Date.parse(lookedAt)) >= dayMs;
        if (channel !== null && isAllowed && isDue) await ask(channel, signal).catch(() => undefined);
        return get();
      }
      if (channel === null)
        throw new StudioError(
          'update_unavailable',
          'This installation names no address for newer versions.',
          'Ask for them where it came from; a checkout is brought up to date by git pull.',
        );
      await ask(channel, signal);
      return get();
    },
  };
}

async function askRelease(
  channel: string,
  { version, here }: { version: string; here: Platform },
  signal: AbortSignal,
): Promise<Release> {
  const address = new URL(releaseFileName(here), channel.endsWith('/') ? channel : `${channel}/`);
  const unreachable = (why: string, cause?: unknown) =>
    new StudioError(
      'update_unavailable',
      `${address.href} could not be read: ${why}.`,
      'Try it again with a connection to it.',
      { cause },
    );
  const ending = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const response = await fetchSafely(address, ending);
    if (!response) throw unreachable('it leads somewhere else without end or encryption');
    if (!response.ok) throw unreachable(`it answers ${response.status}`);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of response.body ?? []) {
      if ((length += part.byteLength) > mostBytes) throw unreachable(`it has more than ${mostBytes} bytes`);
      parts.push(part);
    }
    return readRelease(Buffer.concat(parts).toString('utf8'), address, version, here);
  } catch (error) {
    if (error instanceof StudioError) throw error;
    if (signal.aborted)
      throw new StudioError('cancelled', 'The look for updates was cancelled.', 'Look again.');
    throw unreachable(reasonOf(error), error);
  }
}

const mostRedirects = 5;

/** Follows redirects, as those of GitHub. @returns null where one leads from https to http, or too many lead on */
async function fetchSafely(address: URL, signal: AbortSignal): Promise<Response | null> {
  let at = address;
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const response = await fetch(at, { signal, credentials: 'omit', redirect: 'manual' });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    at = new URL(location, at);
    if (!isAsSafe(at, address)) return null;
  }
  return null;
}

/** What fetch says lies in its cause; of several addresses that failed together only a code is told. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message;
}

export function updateHandlers(updates: UpdateService) {
  return {
    'updates.get': () => updates.get(),
    'updates.allow': ({ isAllowed }) => updates.allow(isAllowed),
    'updates.look': ({ daily }, { signal }) => updates.look(daily, signal),
  } satisfies Partial<ProcedureHandlers>;
}
