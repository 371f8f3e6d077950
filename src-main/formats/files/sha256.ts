import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

const partBytes = 4 * 1024 * 1024;

/** SHA-256 over the bytes of files, one after another, as hexadecimal digits. */
export function sha256Of(paths: readonly string[]): string {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(partBytes);
  for (const path of paths) {
    const fd = openSync(path, 'r');
    try {
      for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer))
        hash.update(buffer.subarray(0, got));
    } finally {
      closeSync(fd);
    }
  }
  return hash.digest('hex');
}
