import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { HubStatus } from '../../../contract/modelLibrary.ts';
import { StudioError } from '../../../contract/errors.ts';
import { tokenFile } from './places.ts';

export type TokenSource = NonNullable<HubStatus['token']>;

/** A token of the Hub and where it came from. It never leaves the core but in a request to the Hub itself. */
export interface HubToken {
  value: string;
  source: TokenSource;
}

/** What a token may consist of: nothing that could end a header's line. */
const tokenPattern = /^[\x21-\x7e]{1,500}$/;

/**
 * The token to use: the studio's own, else HF_TOKEN, else the one that `hf auth login` left.
 * @param ownFile the studio's file, in the data folder
 */
export function findToken(
  ownFile: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): HubToken | null {
  const candidates: [TokenSource, string | undefined][] = [
    ['settings', readToken(ownFile)],
    ['environment', env['HF_TOKEN'] ?? env['HUGGING_FACE_HUB_TOKEN']],
    ['file', readToken(tokenFile(env))],
  ];
  for (const [source, value] of candidates) {
    const trimmed = value?.trim();
    if (trimmed && tokenPattern.test(trimmed)) return { value: trimmed, source };
  }
  return null;
}

function readToken(path: string): string | undefined {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8').slice(0, 1000) : undefined;
  } catch {
    // One that may not be read is as good as none.
    return undefined;
  }
}

/** Keeps a token in a file that only its owner may read; null forgets it. @throws StudioError config_invalid */
export function keepToken(ownFile: string, value: string | null): void {
  if (value === null) {
    rmSync(ownFile, { force: true });
    return;
  }
  if (!tokenPattern.test(value))
    throw new StudioError(
      'config_invalid',
      'This is no access token: it has spaces, line breaks or other characters that no token has.',
      'Copy the token again from your account’s settings on the Hub; it begins with hf_.',
    );
  mkdirSync(dirname(ownFile), { recursive: true });
  const temporary = `${ownFile}.${process.pid}.partial`;
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(fd, value);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, ownFile);
}
