import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  compareVersions,
  readRelease,
  releaseFileName,
  type Platform,
} from '../../../src-main/services/machine/releaseFile.ts';
import { createUpdateService } from '../../../src-main/services/machine/updates.ts';
import { neverAborted } from '../../support/core.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

/** As electron-builder 26 writes it for `--linux AppImage deb`; sums shortened. */
const list = (version: string) => `version: ${version}
files:
  - url: id-lora-studio-${version}-linux-x86_64.AppImage
    sha512: 2ZfQ==
    size: 131072000
    blockMapSize: 138000
  - url: id-lora-studio-${version}-linux-amd64.deb
    sha512: 9xkA==
    size: 98304000
path: id-lora-studio-${version}-linux-x86_64.AppImage
sha512: 2ZfQ==
releaseDate: '2026-12-01T10:00:00.000Z'
`;
const image: Platform = { platform: 'linux', arch: 'x64', isImage: true };

let server: Server;
let asked: { url: string; headers: string }[];
let answer: { status: number; body: string; location?: string };
let channel: string;
beforeEach(async () => {
  [asked, answer] = [[], { status: 200, body: list('0.2.0') }];
  server = createServer((request, response) => {
    asked.push({ url: request.url!, headers: JSON.stringify(request.headers) });
    const { status, body, location } = request.url!.startsWith('/moved/')
      ? { status: 200, body: list('0.2.0') }
      : answer;
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  channel = `http://127.0.0.1:${(server.address() as AddressInfo).port}/studio/`;
});
afterEach(() => server.close());

const day = 24 * 3600 * 1000;
function service(rest: Partial<Parameters<typeof createUpdateService>[0]> = {}) {
  const file = join(temporaryFolder(), 'updates.json');
  let time = Date.parse('2026-12-02T00:00:00Z');
  const options = { file, channel, version: '0.1.0', here: image, now: () => time, ...rest };
  return { file, options, updates: createUpdateService(options), later: (ms: number) => (time += ms) };
}

describe('looking for a newer version', () => {
  it('says which there is and where its file lies, and keeps that', async () => {
    const { updates, options } = service();
    const { found, lookedAt } = await updates.look(false, neverAborted);
    expect(found).toEqual({
      version: '0.2.0',
      isNewer: true,
      file: {
        name: 'id-lora-studio-0.2.0-linux-x86_64.AppImage',
        url: `${channel}id-lora-studio-0.2.0-linux-x86_64.AppImage`,
        sizeBytes: 131072000,
      },
      releasedAt: '2026-12-01T10:00:00.000Z',
    });
    expect(lookedAt).toBe('2026-12-02T00:00:00.000Z');
    expect(asked.map(({ url }) => url)).toEqual(['/studio/latest-linux.yml']);
    // Not even which version asks.
    expect(asked[0]!.headers).not.toMatch(/0\.1\.0|linux|x64/);
    expect(createUpdateService(options).get().found!.version).toBe('0.2.0');
    // It was put in place of the one that found it.
    for (const version of ['0.2.0', '0.3.0'])
      expect(createUpdateService({ ...options, version }).get().found!.isNewer).toBe(false);
  });

  it('asks by itself only with leave, and once a day', async () => {
    const { updates, later, options } = service();
    await updates.look(true, neverAborted);
    expect(asked).toHaveLength(0);
    expect(updates.allow(true).isAllowed).toBe(true);
    await updates.look(true, neverAborted);
    await updates.look(true, neverAborted);
    expect(asked).toHaveLength(1);
    later(day);
    await updates.look(true, neverAborted);
    expect(asked).toHaveLength(2);
    updates.allow(false);
    later(day);
    await updates.look(true, neverAborted);
    expect(asked).toHaveLength(2);
    // A damaged file gives no leave.
    updates.allow(true);
    writeFileSync(options.file, '{"isAllowed":true');
    expect(updates.get().isAllowed).toBe(false);
  });

  it('without an address asks nobody, whoever agrees', async () => {
    const { updates } = service({ channel: null });
    updates.allow(true);
    await updates.look(true, neverAborted);
    await expect(updates.look(false, neverAborted)).rejects.toThrow('names no address');
    expect(asked).toHaveLength(0);
  });

  it.each([
    ['an error', { status: 503, body: '' }, 'it answers 503'],
    ['a page', { status: 200, body: '<html></html>' }, 'is no list of a release'],
    ['a version that is none', { status: 200, body: list('new') }, 'is no list of a release (version'],
    [
      'a version without end',
      { status: 200, body: list(`1.0.0-${'a'.repeat(99)}`) },
      'is no list of a release',
    ],
    ['too much', { status: 200, body: '"'.repeat(40_000) }, 'more than 32768 bytes'],
  ])('says what is wrong with %s, and what was found before stays', async (_name, given, message) => {
    const { updates, later } = service();
    updates.allow(true);
    await updates.look(true, neverAborted);
    answer = given;
    await expect(updates.look(false, neverAborted)).rejects.toThrow(message);
    later(day);
    const after = await updates.look(true, neverAborted);
    expect(after.problem).toMatchObject({ code: 'update_unavailable' });
    expect(after.found!.version).toBe('0.2.0');
    answer = { status: 200, body: list('0.2.1') };
    expect(await updates.look(false, neverAborted)).toMatchObject({
      problem: null,
      found: { version: '0.2.1' },
    });
  });

  it('follows the list to where it lies, and no circle', async () => {
    const { updates } = service();
    answer = { status: 302, body: '', location: '/moved/latest-linux.yml' };
    expect((await updates.look(false, neverAborted)).found!.file!.url).toMatch(/\/studio\/id-lora-studio/);
    expect(asked.map(({ url }) => url)).toEqual(['/studio/latest-linux.yml', '/moved/latest-linux.yml']);
    answer = { status: 302, body: '', location: '/studio/latest-linux.yml' };
    await expect(updates.look(false, neverAborted)).rejects.toThrow('leads somewhere else');
  });

  it('never goes on without encryption', async () => {
    const fetched = vi.fn(() =>
      Promise.resolve(
        new Response(null, { status: 302, headers: { location: 'http://files.example/list' } }),
      ),
    );
    vi.stubGlobal('fetch', fetched);
    const { updates } = service({ channel: 'https://files.example/studio/' });
    await expect(updates.look(false, neverAborted)).rejects.toThrow('without end or encryption');
    expect(fetched).toHaveBeenCalledTimes(1);
    vi.unstubAllGlobals();
  });

  it('takes leave for the address that was named, and no other', async () => {
    const { updates, options } = service();
    updates.allow(true);
    await updates.look(true, neverAborted);
    const other = createUpdateService({ ...options, channel: `${channel}other/` });
    expect(other.get()).toMatchObject({ isAllowed: false, found: null });
    expect(createUpdateService({ ...options, channel: null }).get().found).toBeNull();
    await other.look(true, neverAborted);
    expect(asked).toHaveLength(1);
  });

  it('looks again after the clock was set back, and survives a version that is none in its file', async () => {
    const { updates, later, options } = service();
    updates.allow(true);
    await updates.look(true, neverAborted);
    later(-365 * day);
    await updates.look(true, neverAborted);
    expect(asked).toHaveLength(2);
    writeFileSync(options.file, readFileSync(options.file, 'utf8').replace('"0.2.0"', '"newest"'));
    expect(updates.get()).toMatchObject({ isAllowed: false, found: null });
  });

  it('says that nobody answers', async () => {
    const { updates, file } = service();
    await new Promise((resolve) => server.close(resolve));
    await expect(updates.look(false, neverAborted)).rejects.toThrow(
      /latest-linux\.yml could not be read: .*ECONNREFUSED/,
    );
    expect(existsSync(file)).toBe(true);
  });
});

describe('the list of a release', () => {
  const address = new URL('https://files.example/studio/latest-linux.yml');
  it('names another file for each kind of installation', () => {
    const nameFor = (here: Partial<Platform>) =>
      readRelease(list('0.2.0'), address, '0.1.0', { ...image, ...here }).file?.name ?? null;
    expect(nameFor({ isImage: false })).toBe('id-lora-studio-0.2.0-linux-amd64.deb');
    expect(nameFor({ platform: 'win32' })).toBeNull();
    expect(releaseFileName({ ...image, arch: 'arm64' })).toBe('latest-linux-arm64.yml');
    expect(releaseFileName({ ...image, platform: 'win32' })).toBe('latest.yml');
    expect(releaseFileName({ ...image, platform: 'darwin' })).toBe('latest-mac.yml');
  });

  it('cannot send people to what is no web address', () => {
    const text = list('0.2.0').replaceAll('url: id-lora', 'url: javascript:id-lora');
    expect(readRelease(text, address, '0.1.0', image).file).toBeNull();
    const plain = list('0.2.0').replaceAll('url: id-lora', 'url: http://files.example/id-lora');
    expect(readRelease(plain, address, '0.1.0', image).file).toBeNull();
    expect(readRelease(plain, new URL('http://[::1]/latest-linux.yml'), '0.1.0', image).file).not.toBeNull();
  });

  it('names the file for the processor, and one whose name has no right escapes as it is', () => {
    const text = `version: 0.2.0\nfiles: [{ url: s-x64.exe }, { url: s-arm64.exe }]`;
    const onWindows = (arch: string) =>
      readRelease(text, address, '0.1.0', { platform: 'win32', arch, isImage: false }).file!.name;
    expect([onWindows('x64'), onWindows('arm64')]).toEqual(['s-x64.exe', 's-arm64.exe']);
    const odd = 'version: 0.2.0\nfiles: [{ url: "100%.AppImage" }]';
    expect(readRelease(odd, address, '0.1.0', image).file!.name).toBe('100%.AppImage');
  });

  it('has the order of semantic versions', () => {
    const rising = [
      '0.1.0-alpha',
      '0.1.0-alpha.1',
      '0.1.0-beta.2',
      '0.1.0-beta.11',
      '0.1.0',
      '0.2.0',
      '0.10.0',
      '1.0.0',
    ];
    for (const [i, version] of rising.entries())
      for (const [k, other] of rising.entries())
        expect(Math.sign(compareVersions(version, other)), `${version} ${other}`).toBe(Math.sign(i - k));
    expect(compareVersions('1.0.0+build.1', '1.0.0')).toBe(0);
  });
});
