import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StudioError } from '../contract/errors.ts';

/**
 * Makes this process the only writer of a data folder. A lock whose process is gone is taken over.
 * @returns a function that gives the lock back
 * @throws StudioError home_locked with the process id
 */
export function lockHome(home: string): () => void {
  mkdirSync(home, { recursive: true });
  const path = join(home, 'studio.lock');
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const owner = Number(readFileSync(path, 'utf8'));
    if (isAlive(owner))
      throw new StudioError(
        'home_locked',
        `Another studio (process ${owner}) is using the data folder ${home}.`,
        'Close it, or use its window; or choose another data folder with --home DIR.',
      );
    rmSync(path, { force: true });
  }
  throw new StudioError(
    'home_locked',
    `The data folder ${home} is being opened by another studio.`,
    'Try again.',
  );
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
