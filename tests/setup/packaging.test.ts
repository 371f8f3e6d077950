import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { builderConfig, publishing } from '../../src-main/setup/package/builderConfig.mjs';
import { versions } from '../../src-main/setup/paths.mjs';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

it('publishes to the repository that package.json names, and nowhere else', () => {
  const release = [{ provider: 'github', owner: 'some-lab', repo: 'studio', releaseType: 'draft' }];
  expect(publishing({ repository: 'github:some-lab/studio' })).toEqual(release);
  expect(publishing({ repository: { url: 'git+https://github.com/some-lab/studio.git' } })).toEqual(release);
  expect(publishing({ repository: 'https://git.example/some-lab/studio' })).toBeNull();
  expect(publishing({})).toBeNull();
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

const asks = `
  const { installedBinding, isPackaged, repair } = await import('./src-main/setup/paths.mjs');
  const { nodeProgram } = await import('./src-main/setup/checkout/node24.mjs');
  console.log(JSON.stringify({ installedBinding, isPackaged, repair, node: nodeProgram() }));
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
