import * as fs from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { repair } from '../paths.mjs';
import { proxyInUse } from './proxy.mjs';
import { SetupError } from '../report.mjs';

const again = 'Then start again: what is complete is kept.';
/** For what a start does not try a second time. */
export const fixAgain = `Then ${repair}: what is complete is kept.`;

/** What can stand in the way of a step, as the programs print it, and what to do about it. */
const obstacles = [
  {
    pattern: /\bENOSPC\b|\bEDQUOT\b|No space left on device|Disk quota exceeded/i,
    says: ({ folder }) =>
      isFull(folder)
        ? `the disk is full (${roomOf(folder)})`
        : `a disk is full, though ${roomOf(folder)}: that of the cache (${homedir()}) or of temporary files (${tmpdir()})`,
    remedy: ({ folder, elsewhere, then }) =>
      `Free some space${isFull(folder) ? elsewhere : ', or move them (npm config set cache DIR, TMPDIR=DIR)'}. ${then}`,
  },
  {
    pattern: /\bEROFS\b|Read-only file system/i,
    says: ({ folder }) => `${folder} lies on a disk that cannot be written`,
    remedy: ({ elsewhere, then }) => `Make it writable${elsewhere}. ${then}`,
  },
  {
    pattern: /\bEACCES\b|\bEPERM\b|Permission denied/i,
    says: ({ folder }) => `this user may not write to ${folder}`,
    remedy: ({ elsewhere, then }) => `Give it to this user${elsewhere}. ${then}`,
  },
  {
    pattern:
      /SELF_SIGNED_CERT\w*|UNABLE_TO_(?:GET|VERIFY)\w*|CERT_\w+|certificate verify failed|self.signed certificate/i,
    says: ({ source, detail }) => `the certificate of ${source} is not trusted (${detail})${through()}`,
    remedy: ({ then }) =>
      `Where a firewall or proxy signs connections anew, name its certificate: NODE_EXTRA_CA_CERTS=FILE and PIP_CERT=FILE. ${then}`,
  },
  {
    pattern: /\b407\b.*|Proxy Authentication Required/i,
    says: () => `the proxy ${proxyInUse() ?? ''} asks for a name and a password`,
    remedy: ({ then }) => `Put them into its address: HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT. ${then}`,
  },
  {
    pattern:
      /\[Errno -?\d+\] [^')\n]+|(?:getaddrinfo |connect )?\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EPIPE|E?SOCKETTIMEDOUT|ERR_SOCKET_TIMEOUT|FETCH_ERROR|EIDLETIMEOUT)\b[^\n]{0,80}|Connect(?:ion)?TimeoutError|Cannot connect to proxy|Read timed out/,
    says: ({ source, detail }) => `${source} cannot be reached (${detail.trim()})${through()}`,
    remedy: ({ then }) =>
      proxyInUse() === null
        ? `Connect this machine to the internet, or name the proxy that leads there (HTTPS_PROXY=http://HOST:PORT). ${then}`
        : `See whether that proxy answers, or set another (HTTPS_PROXY, or npm config set https-proxy). ${then}`,
  },
];

function through() {
  const proxy = proxyInUse();
  return proxy === null ? '' : ` through the proxy ${proxy}`;
}

/**
 * What is meant by a program's output, as an error with a way on.
 * @param {string} output what it printed
 * @param {{what: string, folder: string, source: string, elsewhere?: string, then?: string}} step what
 *   could not be done ("The npm packages could not be installed"), where it writes, where it fetches from, where else
 *   it could write (", or ..."), and what to do once that is put right
 * @returns {SetupError | null} null: nothing that is known stands in it
 */
export function obstacleIn(output, { what, folder, source, elsewhere = '', then = again }) {
  for (const { pattern, says, remedy } of obstacles) {
    const detail = pattern.exec(output)?.[0];
    if (detail)
      return new SetupError(
        `${what}: ${says({ folder, source, detail })}.`,
        remedy({ folder, elsewhere, then }),
      );
  }
  return null;
}

/**
 * An error of a system call of set-up itself, with a way on.
 * @param {unknown} error
 * @returns {unknown} the error itself where it is another
 */
export function explained(error) {
  if (error instanceof SetupError || typeof error?.path !== 'string') return error;
  const step = {
    what: `${error.path} could not be written`,
    folder: dirname(error.path),
    source: '',
    elsewhere:
      ', clone the studio to a folder of yours, or name another folder for what set-up fetches (ID_LORA_STUDIO_RUNTIME=DIR)',
  };
  return obstacleIn(String(error.code), step) ?? error;
}

/** That a disk has no room for a step, which was not begun. */
export class NoRoomError extends SetupError {}

/** The nearest folder that is there. */
function existing(folder) {
  while (!fs.existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function freeBytes(folder) {
  try {
    const { bavail, bsize } = fs.statfsSync(existing(folder));
    return bavail * bsize;
  } catch {
    // A file system that does not say.
    return null;
  }
}

/** Whether it is this disk that has no room, and not one that a program writes to besides. */
export function isFull(folder) {
  const free = freeBytes(folder);
  return free === null || free < 300e6;
}

function roomOf(folder) {
  const free = freeBytes(folder);
  return free === null ? folder : `${Math.floor(free / 1e6)} MB are free in ${existing(folder)}`;
}

/**
 * Refuses a step that would fill the disk, before anything is fetched.
 * @param {string} folder
 * @param {number} bytes what it takes at most
 * @param {string} what "The npm packages"
 * @throws NoRoomError
 */
export function requireSpace(folder, bytes, what, elsewhere, then = again) {
  const free = freeBytes(folder);
  if (free === null || free >= bytes) return;
  throw new NoRoomError(
    `${what}: ${Math.ceil(bytes / 1e6)} MB are needed, and ${roomOf(folder)}.`,
    `Free some space${elsewhere}. ${then}`,
  );
}

/** Where else what belongs to the user could lie. */
export const otherRuntime = ', or name a folder on another disk (ID_LORA_STUDIO_RUNTIME=DIR)';
/** Where else the checkout could lie. */
export const otherCheckout = ', or clone the studio to another folder';
