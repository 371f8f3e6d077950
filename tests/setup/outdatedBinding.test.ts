import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { versions } from '../../src-main/setup/paths.mjs';
import { projectFolder } from '../support/paths.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const asks = `
  const { tensorflowReady, tensorflowCurrent } = await import('./src-main/setup/tensorflow/tensorflow.mjs');
  console.log(JSON.stringify([tensorflowReady(), tensorflowCurrent()]));
`;

it.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'a binding that an earlier set-up compiled is there, and is compiled again',
  () => {
    const checkout = temporaryFolder();
    const installed = join(checkout, 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v8/tfjs_binding.node');
    cpSync(join(projectFolder, 'src-main/setup'), join(checkout, 'src-main/setup'), { recursive: true });
    mkdirSync(dirname(installed), { recursive: true });
    const found = () => {
      const args = ['--input-type=module', '-e', asks];
      return JSON.parse(
        spawnSync(process.execPath, args, { cwd: checkout, encoding: 'utf8' }).stdout,
      ) as unknown;
    };
    expect(found()).toEqual([false, false]);
    // As the package's own installer leaves it.
    writeFileSync(installed, '');
    expect(found()).toEqual([true, true]);
    for (const [bindings, isCurrent] of [
      ['0', false],
      [versions.bindings, true],
    ] as const) {
      const compiled = join(checkout, `tfjs-binding-1.0.0-cpu-2.0.0-b${bindings}`, 'tfjs_binding.node');
      mkdirSync(dirname(compiled));
      writeFileSync(compiled, '');
      rmSync(installed);
      symlinkSync(compiled, installed);
      expect(found()).toEqual([true, isCurrent]);
    }
  },
);
