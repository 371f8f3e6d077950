import { closeSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { say } from './report.mjs';

/** A lock that names nobody for this long was left by a process that ended between making and filling it. */
const namelessMs = 5000;

/** Runs `work` while no other process holds the lock file; a lock whose process is gone is taken over. */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  let waiting = false;
  while (!tryLock(path)) {
    if (isAbandoned(path)) {
      rmSync(path, { force: true });
      continue;
    }
    if (!waiting)
      say(
        `another set-up (process ${holderOf(path) || 'unknown'}) is running; waiting for it to give up ${path}`,
      );
    waiting = true;
    await setTimeout(500);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function tryLock(path) {
  try {
    create(path);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    return false;
  }
}

/** A full disk still makes the file, and then has no room for what it holds: it must not stay. */
function create(path) {
  const file = openSync(path, 'wx');
  try {
    writeSync(file, String(process.pid));
  } catch (error) {
    rmSync(path, { force: true });
    // Writing through a descriptor does not name the file.
    throw Object.assign(error, { path });
  } finally {
    closeSync(file);
  }
}

/** @returns {number} 0: it names nobody */
function holderOf(path) {
  try {
    return Number(readFileSync(path, 'utf8')) || 0;
  } catch {
    return 0;
  }
}

function isAbandoned(path) {
  const holder = holderOf(path);
  if (holder === 0) {
    const made = statSync(path, { throwIfNoEntry: false });
    return made !== undefined && Date.now() - made.mtimeMs > namelessMs;
  }
  try {
    process.kill(holder, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}
