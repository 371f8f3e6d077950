import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectFolder } from '../support/paths.ts';
import { smallDisk } from '../support/faults/smallDisk.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const entry = join('src-main', 'setup', 'studio.mjs');

/** A checkout with set-up alone, which needs a package that is nowhere. */
function checkoutIn(folder: string): string {
  const need = { name: 'needy', version: '1.0.0', dependencies: { 'not-there': '1.0.0' } };
  const entry = {
    version: '1.0.0',
    resolved: 'https://registry.npmjs.org/not-there/-/not-there-1.0.0.tgz',
    integrity: `sha512-${Buffer.alloc(64).toString('base64')}`,
  };
  const lock = { lockfileVersion: 3, packages: { '': need, 'node_modules/not-there': entry } };
  cpSync(join(projectFolder, 'src-main/setup'), join(folder, 'src-main/setup'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify(need));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify({ ...need, ...lock }));
  return folder;
}

/** What `npm run -s studio -- doctor` comes to there, as a user with nothing but a PATH and a home. */
function setUp(checkout: string, env: Record<string, string> = {}, options: string[] = []) {
  const args = [...options, entry, 'doctor'];
  const { PATH = '' } = process.env;
  const { status, stderr } = spawnSync(process.execPath, args, {
    cwd: checkout,
    encoding: 'utf8',
    env: { PATH, HOME: temporaryFolder(), ...env },
  });
  expect(status).toBe(1);
  // No trace: a line of one begins so.
  expect(stderr).not.toMatch(/^\s+at /m);
  return stderr;
}

const deadProxy = { HTTPS_PROXY: 'http://127.0.0.1:9' };

it('a registry that nobody can reach ends set-up with a way on', { timeout: 120_000 }, () => {
  const checkout = checkoutIn(temporaryFolder());
  expect(setUp(checkout, deadProxy)).toMatch(
    /The npm packages could not be installed: the npm registry cannot be reached \(.*ECONNREFUSED.*\) through the proxy http:\/\/127\.0\.0\.1:9\.\nset-up: See whether that proxy answers/,
  );
  expect(existsSync(join(checkout, '.setup.lock'))).toBe(false);
});

it.skipIf(process.platform === 'win32')('a set-up that is told to end takes npm with it', async () => {
  const checkout = checkoutIn(temporaryFolder());
  const programs = join(temporaryFolder(), 'bin');
  const [begun, over] = ['begun', 'over'].map((name) => join(programs, name)) as [string, string];
  mkdirSync(programs);
  // As npm that waits for a registry.
  const npm = `#!/bin/sh\ntrap 'echo > ${over}; kill $!; exit' TERM\nsleep 60 &\necho > ${begun}\nwait\n`;
  writeFileSync(join(programs, 'npm'), npm);
  chmodSync(join(programs, 'npm'), 0o755);
  const env = { PATH: `${programs}:${process.env['PATH']}`, HOME: temporaryFolder() };
  const child = spawn(process.execPath, [entry, 'doctor'], { cwd: checkout, env, stdio: 'ignore' });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await expect.poll(() => existsSync(begun)).toBe(true);
  child.kill('SIGTERM');
  expect(await ended).toBe(143);
  await expect.poll(() => existsSync(over)).toBe(true);
});

it('no npm ends it with a way on', () => {
  expect(setUp(checkoutIn(temporaryFolder()), { PATH: '/nowhere' })).toContain(
    'The npm packages could not be installed: there is no npm on the PATH.\nset-up: Install Node',
  );
});

it('a checkout that cannot be written ends it with a way on', () => {
  const disk = smallDisk(4096);
  if (disk === null) return;
  try {
    checkoutIn(disk);
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    expect(setUp(disk)).toContain(
      `${join(disk, '.setup.lock')} could not be written: ${disk} lies on a disk that cannot be written.\nset-up: Make it writable, clone`,
    );
  } finally {
    execFileSync('umount', [disk]);
  }
});

it('a disk without room ends it before anything is fetched', () => {
  const disk = smallDisk(4096);
  if (disk === null) return;
  try {
    checkoutIn(disk);
    expect(setUp(disk)).toMatch(
      /The npm packages: 700 MB are needed, and \d MB are free in .+\nset-up: Free some space, or clone/,
    );
    expect(existsSync(join(disk, '.setup.lock'))).toBe(false);
  } finally {
    execFileSync('umount', [disk]);
  }
});

it('a Node that is too old is told so before anything is loaded', () => {
  const pretend = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.19.0'}})`;
  expect(setUp(checkoutIn(temporaryFolder()), {}, ['--import', pretend])).toContain('This is Node 18.19.0');
});
