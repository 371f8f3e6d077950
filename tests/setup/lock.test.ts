import { execFileSync, spawn } from 'node:child_process';
import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { withLock } from '../../src-main/setup/lock.mjs';
import { smallDisk } from '../support/faults/smallDisk.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const said: string[] = [];
vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
  said.push(String(text));
  return true;
});
afterEach(() => said.splice(0));
const done = () => Promise.resolve('done');

it('says whom it waits for, and goes on when that process is gone', async () => {
  const path = join(temporaryFolder(), '.setup.lock');
  const holder = spawn(process.execPath, ['-e', 'setTimeout(() => undefined, 60_000)']);
  writeFileSync(path, String(holder.pid));
  const locked = withLock(path, done);
  await expect
    .poll(() => said.join(''))
    .toContain(`another set-up (process ${holder.pid}) is running; waiting for it to give up ${path}`);
  holder.kill('SIGKILL');
  expect(await locked).toBe('done');
  expect(existsSync(path)).toBe(false);
});

it('takes over a lock that names nobody, which would be waited for without end', async () => {
  const path = join(temporaryFolder(), '.setup.lock');
  writeFileSync(path, '');
  const before = Date.now() / 1000 - 60;
  utimesSync(path, before, before);
  expect(await withLock(path, done)).toBe('done');
});

it('leaves no empty lock where the disk is full', async () => {
  const disk = smallDisk(64);
  if (disk === null) return;
  try {
    const path = join(disk, '.setup.lock');
    try {
      for (let i = 0; ; i++) writeFileSync(join(disk, String(i)), Buffer.alloc(4096));
    } catch {
      // Full.
    }
    await expect(withLock(path, done)).rejects.toMatchObject({ code: 'ENOSPC', path });
    expect(existsSync(path)).toBe(false);
  } finally {
    execFileSync('umount', [disk]);
  }
});
