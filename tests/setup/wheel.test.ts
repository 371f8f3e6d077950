import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createDownloadProgress, largestFileBytes } from '../../src-main/setup/progress.mjs';
import { wheelFor } from '../../src-main/setup/tensorflow/wheel.mjs';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it.each([
  ['linux-x64', 'cpu', 'tensorflow-cpu', 'manylinux_2_27_x86_64', 'libtensorflow_cc.so.2'],
  ['linux-x64', 'gpu', 'tensorflow', 'manylinux_2_27_x86_64', 'libtensorflow_cc.so.2'],
  // The package for the CPU alone is made for x86 only.
  ['linux-arm64', 'cpu', 'tensorflow', 'manylinux_2_27_aarch64', 'libtensorflow_cc.so.2'],
  ['darwin-arm64', 'cpu', 'tensorflow', 'macosx_12_0_arm64', 'libtensorflow_cc.2.dylib'],
] as const)('on %s, %s: %s for %s', (platform, kind, name, tag, library) => {
  const wheel = wheelFor(kind, platform);
  expect(wheel?.package).toBe(name);
  expect(wheel?.platforms[0]).toBe(tag);
  expect(wheel?.linker.file('cc')).toBe(library);
  expect(wheel?.sha256).toMatch(/^[0-9a-f]{64}$/);
});

it("leaves the rest to the package's own installer", () => {
  for (const platform of ['win32-x64', 'darwin-x64']) expect(wheelFor('cpu', platform)).toBeNull();
  for (const platform of ['linux-arm64', 'darwin-arm64']) expect(wheelFor('gpu', platform)).toBeNull();
});

it('says of a download how much of it is there, while pip has it twice', () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, 'pip-unpack'));
  writeFileSync(join(folder, 'pip-unpack', 'a.whl'), new Uint8Array(60e6));
  writeFileSync(join(folder, 'a.whl'), new Uint8Array(45e6));
  const line = createDownloadProgress(
    'downloading a',
    () => largestFileBytes(folder),
    100e6,
    () => 0,
  )();
  expect(line).toContain('downloading a: 60 of 100 MB (60 %)');
});
