import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { StudioError } from '../contract/errors.ts';

/** A process that was killed keeps its lock until the last of its threads has ended. */
const dyingMs = 1000;

/**
 * Makes this process the only writer of a data folder. The lock is SQLite's own on a database that holds nothing: the
 * operating system frees it when the process ends, however it ends, also where nobody has collected the dead process or
 * another one has got its id.
 * @returns a function that gives the lock back
 * @throws StudioError home_locked with the process id
 */
export function lockHome(home: string): () => void {
  mkdirSync(home, { recursive: true });
  // Says who has the lock; it locks nothing.
  const owner = join(home, 'studio.lock');
  const lock = new Sqlite(join(home, 'studio-lock.db'), { timeout: dyingMs });
  try {
    lock.exec('BEGIN EXCLUSIVE');
    writeFileSync(owner, String(process.pid));
  } catch (error) {
    lock.close();
    if (!String((error as { code?: unknown }).code).startsWith('SQLITE_BUSY')) throw error;
    throw new StudioError(
      'home_locked',
      `Another studio (process ${ownerIn(owner)}) is using the data folder ${home}.`,
      'Close it, or use its window; or choose another data folder with --home DIR.',
      { cause: error },
    );
  }
  return () => {
    rmSync(owner, { force: true });
    lock.close();
  };
}

function ownerIn(path: string): string {
  try {
    return readFileSync(path, 'utf8') || 'unknown';
  } catch {
    // It is ending, or has only begun.
    return 'unknown';
  }
}
