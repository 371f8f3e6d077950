import { parse } from 'yaml';
import { z } from 'zod';
import { StudioError } from '../../contract/errors.ts';
import type { Release } from '../../contract/machine.ts';

/** A system that an application is made for. */
export interface Platform {
  platform: string;
  arch: string;
  /** Whether it runs from one file (AppImage), which is replaced as a whole. */
  isImage: boolean;
}

/** The list of a release that electron-builder writes beside its applications, by system. */
export function releaseFileName({ platform, arch }: Platform): string {
  if (platform === 'win32') return 'latest.yml';
  if (platform === 'darwin') return 'latest-mac.yml';
  return arch === 'x64' ? 'latest-linux.yml' : `latest-linux-${arch}.yml`;
}

/** A version by semver.org. */
export const versionPattern = /^(\d+)\.(\d+)\.(\d+)(?:-([\w.-]+))?(?:\+[\w.-]+)?$/;
const writtenSchema = z.object({
  // It is shown at the top of each page.
  version: z.string().max(64).regex(versionPattern),
  files: z.array(z.object({ url: z.string().min(1), size: z.number().nonnegative().optional() })).min(1),
  releaseDate: z.string().optional(),
});

/**
 * What the list of a release says to an installation.
 * @param address of the list: names in it are beside it
 * @throws StudioError update_unavailable where it is no such list
 */
export function readRelease(text: string, address: URL, own: string, here: Platform): Release {
  const written = writtenSchema.safeParse(parsed(text));
  if (!written.success) {
    const [issue] = written.error.issues;
    throw noList(address, `${issue!.path.join('.') || 'the file'}: ${issue!.message}`);
  }
  const { files, releaseDate } = written.data;
  const endings = endingsOf(here);
  const [fitting] = files
    .filter(({ url }) => endings.some((ending) => url.toLowerCase().endsWith(ending)))
    .filter(({ url }) => !otherArchitectures[here.arch]?.test(url))
    .filter(({ url }) => URL.canParse(url, address.href) && isAsSafe(new URL(url, address), address));
  const file = fitting && new URL(fitting.url, address);
  return {
    version: written.data.version,
    isNewer: compareVersions(written.data.version, own) > 0,
    file: file
      ? {
          name: decoded(file.pathname.split('/').at(-1)!),
          url: file.href,
          sizeBytes: fitting.size ?? null,
        }
      : null,
    releasedAt: releaseDate !== undefined && !Number.isNaN(Date.parse(releaseDate)) ? releaseDate : null,
  };
}

/** Whether an address to which another one leads is at least as hard to tamper with. */
export function isAsSafe({ protocol }: URL, from: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && from.protocol === 'http:');
}

/** Windows and macOS have one list for all processors, whose names the files bear. */
const otherArchitectures: Readonly<Record<string, RegExp>> = {
  x64: /arm64|aarch64/i,
  arm64: /x64|x86_64|amd64/i,
};

/** A name as people read it; as it is where its escapes are none. */
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function parsed(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

function noList(address: URL, why: string): StudioError {
  return new StudioError(
    'update_unavailable',
    `${address.href} is no list of a release (${why}).`,
    'Whoever made this application publishes it there; nothing is wrong with the studio.',
  );
}

function endingsOf({ platform, isImage }: Platform): readonly string[] {
  if (platform === 'win32') return ['.exe'];
  if (platform === 'darwin') return ['.dmg', '.zip'];
  return isImage ? ['.appimage'] : ['.deb'];
}

/** Precedence of semantic versions (semver.org, 11). @returns above 0 where the first is newer */
export function compareVersions(first: string, second: string): number {
  const [a, b] = [versionPattern.exec(first)!, versionPattern.exec(second)!];
  for (const place of [1, 2, 3]) {
    const difference = Number(a[place]) - Number(b[place]);
    if (difference !== 0) return difference;
  }
  // A version with a name behind comes before the one without.
  if (a[4] === undefined || b[4] === undefined)
    return Number(b[4] !== undefined) - Number(a[4] !== undefined);
  const [own, other] = [a[4].split('.'), b[4].split('.')];
  for (let i = 0; i < Math.min(own.length, other.length); i++) {
    const difference = comparePart(own[i]!, other[i]!);
    if (difference !== 0) return difference;
  }
  return own.length - other.length;
}

/** Numbers by their size and before words, words by their letters. */
function comparePart(first: string, second: string): number {
  const [a, b] = [first, second].map((part) => /^\d+$/.test(part));
  if (a && b) return Number(first) - Number(second);
  if (a || b) return a ? -1 : 1;
  return first < second ? -1 : Number(first > second);
}
