import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { modulesFolder, projectFolder } from '../paths.mjs';
import { compile } from './toolchain.mjs';
import { wheelFor } from './wheel.mjs';

export const packageFolder = join(modulesFolder, '@tensorflow', 'tfjs-node-gpu');

/**
 * Compiles the binding against TensorFlow's libraries.
 * @param {string} library folder of the unpacked wheel
 * @param {string} target file of the binding
 * @param {string} [beside] name of the folder, beside that of the binding, in which it looks for them
 */
export async function buildBinding(library, target, beside = basename(library)) {
  const folder = dirname(target);
  const links = join(folder, 'lib');
  mkdirSync(links, { recursive: true });
  const { linker } = wheelFor('cpu');
  for (const [name, part] of [
    ['tensorflow', 'cc'],
    ['tensorflow_framework', 'framework'],
  ]) {
    const link = join(links, `lib${name}${linker.suffix}`);
    rmSync(link, { force: true });
    symlinkSync(join(library, 'tensorflow', linker.file(part)), link);
  }
  const sources = readdirSync(join(packageFolder, 'binding'))
    .filter((file) => file.endsWith('.cc'))
    .map((file) => join(packageFolder, 'binding', file));
  const temporary = `${target}.${process.pid}.partial`;
  await compile(
    'the TensorFlow binding',
    [
      '-std=c++17',
      '-O2',
      '-fPIC',
      '-shared',
      '-w',
      '-DNAPI_VERSION=8',
      `-I${join(modulesFolder, 'node-api-headers', 'include')}`,
      `-I${packageFolder}`,
      `-I${join(library, 'tensorflow', 'include')}`,
      '-include',
      join(projectFolder, 'src-main', 'setup', 'tensorflow', 'sessionOptions.h'),
      ...sources,
      `-L${links}`,
      '-ltensorflow',
      '-ltensorflow_framework',
      ...linker.options,
      // From where the binding lies: both can be moved together, and a path with a comma is no two options.
      `-Wl,-rpath,${linker.origin}/../${beside}/tensorflow`,
      '-o',
      temporary,
    ],
    20,
  );
  renameSync(temporary, target);
}
