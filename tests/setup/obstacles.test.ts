import { execFileSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { explained, obstacleIn, requireSpace } from '../../src-main/setup/surroundings/obstacles.mjs';
import { smallDisk } from '../support/faults/smallDisk.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const step = {
  what: 'The npm packages could not be installed',
  folder: temporaryFolder(),
  source: 'the npm registry',
  elsewhere: ', or clone the studio to another folder',
};
const noProxy = Object.fromEntries(
  ['HTTPS_PROXY', 'https_proxy', 'npm_config_https_proxy', 'npm_config_proxy'].map((name) => [name, '']),
);
const say = (output: string, env: Record<string, string> = {}) => {
  for (const [name, value] of Object.entries({ ...noProxy, ...env })) vi.stubEnv(name, value);
  const found = obstacleIn(output, step);
  return found && `${found.message} ${found.remedy}`;
};
afterEach(() => vi.unstubAllEnvs());

it('says that a source cannot be reached, through which proxy, and what to do', () => {
  const npm = 'npm error code EAI_AGAIN\nnpm error syscall getaddrinfo';
  expect(say(npm)).toBe(
    'The npm packages could not be installed: the npm registry cannot be reached (EAI_AGAIN). ' +
      'Connect this machine to the internet, or name the proxy that leads there (HTTPS_PROXY=http://HOST:PORT). ' +
      'Then start again: what is complete is kept.',
  );
  const refused = 'npm error code ECONNREFUSED';
  expect(say(refused, { HTTPS_PROXY: 'http://me:secret@proxy.example:3128' })).toContain(
    'the npm registry cannot be reached (ECONNREFUSED) through the proxy http://proxy.example:3128. See whether that proxy answers',
  );
});

it('takes what pip says of the connection, not that there is no such package', () => {
  const pip = `WARNING: Retrying (Retry(total=3, connect=None)) after connection broken by 'NewConnectionError('<pip._vendor
.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/x/
ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)
ERROR: No matching distribution found for x==1`;
  expect(say(pip)).toContain('cannot be reached ([Errno -3] Temporary failure in name resolution)');
});

it.each([
  [
    'npm error code SELF_SIGNED_CERT_IN_CHAIN',
    'is not trusted (SELF_SIGNED_CERT_IN_CHAIN)',
    'NODE_EXTRA_CA_CERTS=FILE',
  ],
  ['[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable', 'is not trusted', 'PIP_CERT=FILE'],
  ['407 Proxy Authentication Required', 'asks for a name and a password', 'http://NAME:PASSWORD@HOST:PORT'],
  ['npm error code ENOSPC', 'a disk is full, though', 'or move them (npm config set cache DIR, TMPDIR=DIR)'],
  ['OSError: [Errno 28] No space left on device', 'a disk is full, though', 'Free some space'],
  ['npm error code EROFS', 'cannot be written', 'Make it writable, or clone the studio to another folder'],
  ["PermissionError: [Errno 13] Permission denied: '/x'", 'this user may not write', 'Give it to this user'],
])('%s', (output, what, remedy) => {
  expect(say(output)).toContain(what);
  expect(say(output)).toContain(remedy);
});

it('leaves alone what it does not know', () => {
  expect(say('npm error code EUSAGE')).toBeNull();
  const defect = new TypeError('x is not a function');
  expect(explained(defect)).toBe(defect);
});

it('says of an error of a system call which file it was, and what to do', () => {
  const folder = join(temporaryFolder(), 'missing');
  const cause = Object.assign(new Error('EACCES'), { code: 'EACCES', path: join(folder, 'x') });
  expect(explained(cause)).toMatchObject({
    name: 'SetupError',
    message: `${join(folder, 'x')} could not be written: this user may not write to ${folder}.`,
  });
});

it('refuses before anything is fetched what the disk has no room for', () => {
  const disk = smallDisk(4096);
  if (disk === null) return;
  try {
    const inside = join(disk, 'not', 'there');
    expect(() => requireSpace(inside, 2e6, 'Node', ', or elsewhere')).not.toThrow();
    writeFileSync(join(disk, 'full'), Buffer.alloc(3e6));
    expect(statSync(join(disk, 'full')).size).toBe(3e6);
    expect(obstacleIn('npm error code ENOSPC', { ...step, folder: inside })).toMatchObject({
      message: `${step.what}: the disk is full (1 MB are free in ${disk}).`,
      remedy: expect.stringContaining('Free some space, or clone the studio to another folder.') as string,
    });
    expect(() => requireSpace(inside, 2e6, 'Node', ', or elsewhere')).toThrow(
      `Node: 2 MB are needed, and 1 MB are free in ${disk}.`,
    );
  } finally {
    execFileSync('umount', [disk]);
  }
});
