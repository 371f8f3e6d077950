import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it("does not install through a link: npm ci would empty another checkout's modules", () => {
  const [checkout, other] = [temporaryFolder(), temporaryFolder()];
  const modules = join(other, 'node_modules');
  mkdirSync(join(modules, 'a-package'), { recursive: true });
  writeFileSync(join(modules, '.studio-lockfile-hash'), 'of another lockfile');
  cpSync(join(projectFolder, 'src-main/setup'), join(checkout, 'src-main/setup'), { recursive: true });
  writeFileSync(join(checkout, 'package.json'), '{"name":"empty","version":"1.0.0"}');
  writeFileSync(
    join(checkout, 'package-lock.json'),
    '{"name":"empty","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"empty","version":"1.0.0"}}}',
  );
  symlinkSync(modules, join(checkout, 'node_modules'), 'dir');
  const script = `
    const { ensurePackages } = await import('./src-main/setup/checkout/packages.mjs');
    await ensurePackages().catch(({ name, message, remedy }) => console.log(JSON.stringify({ name, message, remedy })));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: checkout,
    encoding: 'utf8',
  });
  expect(stderr).not.toContain('installing');
  expect(JSON.parse(stdout)).toEqual({
    name: 'SetupError',
    message: `${join(checkout, 'node_modules')} is a link to ${modules}: installing would empty what it points to.`,
    remedy:
      'Remove the link to install modules for this checkout alone, or run npm ci in the checkout to which it leads.',
  });
  expect(readdirSync(modules).sort()).toEqual(['.studio-lockfile-hash', 'a-package']);
});
