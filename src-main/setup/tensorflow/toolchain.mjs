import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';
import { runtimeFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';

let found;

/** pip as [program, ...leading arguments], or null. Its Python is leading arguments without `-m pip`. */
export async function findPip() {
  if (found !== undefined) return found;
  found = null;
  for (const program of [process.env.PYTHON, 'python3', 'python', 'py'])
    if (program && (await runProgram(program, ['-m', 'pip', '--version'])).code === 0) {
      found = [program, '-m', 'pip'];
      break;
    }
  return found;
}

/** A C++ compiler as [program, ...leading arguments]: the machine's own, else the one in the wheel `ziglang`. */
export async function findCompiler() {
  for (const program of [process.env.CXX, 'g++', 'clang++', 'c++'])
    if (program && (await runProgram(program, ['--version'])).code === 0) return [program];
  const pip = await findPip();
  if (pip) {
    const folder = join(runtimeFolder, 'ziglang');
    if (!existsSync(join(folder, 'ziglang'))) {
      say('no C++ compiler found; installing one (the wheel ziglang)');
      const args = [...pip.slice(1), 'install', '--no-deps', '--target', folder, 'ziglang==0.13.0'];
      await runProgram(pip[0], args);
    }
    const program = join(folder, 'ziglang', process.platform === 'win32' ? 'zig.exe' : 'zig');
    if (existsSync(program)) return [program, 'c++'];
  }
  throw new SetupError(
    'There is no C++ compiler, and none could be installed.',
    'Install one (Debian and Ubuntu: apt install g++; macOS: xcode-select --install) and start again.',
  );
}

/** Compiles one shared library. @param {string[]} args */
export async function compile(what, args, seconds) {
  const [program, ...leading] = await findCompiler();
  const startedAt = Date.now();
  say(`compiling ${what} (about ${seconds} s)`);
  const { code, output } = await runProgram(program, [...leading, ...args], {
    progress: () => {
      const elapsed = Math.round((Date.now() - startedAt) / 1000);
      return elapsed % 10 < 2 ? `compiling ${what}: ${elapsed} of about ${seconds} s` : null;
    },
  });
  if (code !== 0)
    throw new SetupError(`Compiling ${what} failed:\n${output}`, 'Report this with the output above.');
}
