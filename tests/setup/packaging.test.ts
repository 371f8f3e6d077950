import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { builderConfig, publishing, updateFolder } from '../../src-main/setup/package/builderConfig.mjs';
import { commandCall, versions } from '../../src-main/setup/paths.mjs';
import { projectFolder } from '../support/paths.ts';
import { allFiles } from '../structure/imports.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('publishes to the repository that package.json names, and nowhere else', () => {
  const release = [{ provider: 'github', owner: 'some-lab', repo: 'studio', releaseType: 'draft' }];
  expect(publishing({ repository: 'github:some-lab/studio' })).toEqual(release);
  expect(publishing({ repository: { url: 'git+https://github.com/some-lab/studio.git' } })).toEqual(release);
  expect(publishing({ repository: 'https://git.example/some-lab/studio' })).toBeNull();
  expect(publishing({})).toBeNull();
});

it('looks for newer versions where the one who packages says, and only where nobody can answer instead', () => {
  const named = { repository: 'github:some-lab/studio' };
  const folder = (address?: string, manifest = {}) =>
    updateFolder(publishing(manifest, address === undefined ? {} : { ID_LORA_STUDIO_UPDATES: address }));
  expect(folder()).toBeNull();
  expect(folder('')).toBeNull();
  expect(folder('https://files.example/studio/', named)).toBe('https://files.example/studio/');
  expect(folder('http://localhost:8000/')).toBe('http://localhost:8000/');
  expect(folder(undefined, named)).toBe('https://github.com/some-lab/studio/releases/latest/download/');
  const signed = ['https://files.example/?list=', 'https://me:secret@files.example/'];
  for (const address of ['http://files.example/', 'files.example', 'file:///tmp/', ...signed])
    expect(() => folder(address), address).toThrow(`"${address}", which is no https address`);
});

it('sets every switch of the pinned Electron, and what an older one has', () => {
  const manifest = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8')) as {
    devDependencies: { electron: string };
  };
  const own = builderConfig(manifest, '/staged', {});
  expect(own.electronVersion).toBe(manifest.devDependencies.electron);
  const on = Object.entries(own.electronFuses).filter(([, isOn]) => isOn);
  expect(on.map(([name]) => name)).toEqual(['enableEmbeddedAsarIntegrityValidation', 'onlyLoadAppFromAsar']);
  expect(Object.keys(own.electronFuses)).toHaveLength(8);
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'version'), 'v22.3.25');
  const old = builderConfig(manifest, '/staged', { ELECTRON_DIR: folder });
  expect(old).toMatchObject({ electronVersion: '22.3.25', electronDist: folder });
  expect(old.electronFuses).not.toHaveProperty('grantFileProtocolExtraPrivileges');
});

it('says how the command line of an installation is called, so that a shell finds it', () => {
  const call = (folder: string, rest: Partial<Parameters<typeof commandCall>[0]> = {}) =>
    commandCall({ folder, isPackaged: true, platform: 'linux', image: undefined, ...rest });
  expect(call('/checkout', { isPackaged: false })).toBe('npm run -s studio --');
  expect(call('/opt/studio')).toBe('/opt/studio/bin/id-lora-studio-cli');
  // The deb installs into a folder of the application's name.
  const folder = join(temporaryFolder(), "ID-LoRA Studio's");
  mkdirSync(join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'bin', 'id-lora-studio-cli'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
  const { stdout } = spawnSync('/bin/sh', ['-c', `${call(folder)} runs list`], { encoding: 'utf8' });
  expect(stdout).toBe('runs list\n');
  expect(call('C:\\Apps\\ID-LoRA Studio', { platform: 'win32' })).toBe(
    '"C:\\Apps\\ID-LoRA Studio\\bin\\id-lora-studio-cli.cmd"',
  );
  // Mounted elsewhere each time.
  expect(call('/tmp/.mount_x/studio', { image: '/home/me/studio.AppImage' })).toBeNull();
});

/** Parts of src-main that no application has (stage.mjs) or runs, or that say it of checkouts alone. */
const ofCheckouts = [
  /^src-main\/setup\/(checks|package)\//,
  /^src-main\/starter\//,
  /^src-main\/setup\/(paths|package|start)\.mjs$/,
];

it('no text of what ships tells people to type what only a checkout has', () => {
  const comment = /^\s*(\/\/|\/?\*)/;
  const found = allFiles('src-main', 'src-renderer', 'resources')
    .filter((path) => /\.(ts|mjs|svelte|py|html)$/.test(path) && !ofCheckouts.some((part) => part.test(path)))
    .flatMap((path) =>
      readFileSync(join(projectFolder, path), 'utf8')
        .split('\n')
        .filter((line) => /npm (run|start|test)\b/.test(line) && !comment.test(line))
        .map((line) => `${path}: ${line.trim()}`),
    );
  expect(found).toEqual([
    "src-main/core/httpHost.ts: .end(isPackaged ? 'Not found.' : 'Not found. Is the page built (npm run build)?'),",
  ]);
});

const asks = `
  const { commandLine, installedBinding, isPackaged, repair } = await import('./src-main/setup/paths.mjs');
  const { nodeProgram } = await import('./src-main/setup/checkout/node24.mjs');
  console.log(JSON.stringify({ commandLine, installedBinding, isPackaged, repair, node: nodeProgram() }));
`;

it.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'an application runs its own Node, and the binding that set-up provided before what it brings',
  () => {
    const [application, runtime] = [temporaryFolder(), temporaryFolder()];
    cpSync(join(projectFolder, 'src-main/setup'), join(application, 'src-main/setup'), {
      recursive: true,
    });
    const tfjs = join(application, 'node_modules/@tensorflow/tfjs-node-gpu');
    mkdirSync(tfjs, { recursive: true });
    writeFileSync(join(tfjs, 'package.json'), '{"version":"4.22.0"}');
    writeFileSync(join(application, 'packaged.json'), '{}');
    const found = () => {
      const args = ['--input-type=module', '-e', asks];
      const env = { ...process.env, ID_LORA_STUDIO_RUNTIME: runtime };
      const { stdout } = spawnSync(process.execPath, args, { cwd: application, env, encoding: 'utf8' });
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const provided = join(runtime, 'packaged', 'tfjs_binding.node');
    expect(found()).toEqual({
      commandLine: `${realpathSync(application)}/bin/id-lora-studio-cli`,
      installedBinding: provided,
      isPackaged: true,
      repair: 'press Repair in the settings of the studio',
      node: realpathSync(process.execPath),
    });
    // TensorFlow was put in.
    const brought = join(
      application,
      `runtime/tfjs-binding-4.22.0-cpu-${versions.tensorflow}-b${versions.bindings}/tfjs_binding.node`,
    );
    mkdirSync(dirname(brought), { recursive: true });
    writeFileSync(brought, '');
    expect(found()['installedBinding']).toBe(provided);
    mkdirSync(join(application, `runtime/tensorflow-cpu-${versions.tensorflow}`));
    expect(found()['installedBinding']).toBe(brought);
    // A repair put one for the GPU into the runtime folder.
    mkdirSync(dirname(provided));
    symlinkSync(brought, provided);
    expect(found()['installedBinding']).toBe(provided);
  },
);
