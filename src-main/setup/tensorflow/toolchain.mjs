import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';
import { fixAgain, obstacleIn, otherRuntime } from '../surroundings/obstacles.mjs';
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
  let reason = 'there is no Python with pip';
  if (pip) {
    const folder = join(runtimeFolder, 'ziglang');
    if (!existsSync(join(folder, 'ziglang'))) {
      say('no C++ compiler found; installing one (the wheel ziglang)');
      const args = [...pip.slice(1), 'install', '--no-deps', '--target', folder, 'ziglang==0.13.0'];
      const { output } = await runProgram(pip[0], args);
      const step = { what: 'pip', folder, source: 'the Python package index', elsewhere: otherRuntime };
      reason = obstacleIn(output, step)?.message ?? output.trim().split('\n').at(-1) ?? '';
    }
    const program = join(folder, 'ziglang', process.platform === 'win32' ? 'zig.exe' : 'zig');
    if (existsSync(program)) return [program, 'c++'];
  }
  throw new SetupError(
    `There is no C++ compiler (g++, clang++), and none could be installed: ${reason}`,
    'Install one (Debian and Ubuntu: apt install g++; macOS: xcode-select --install). ' + fixAgain,
  );
}

/**
 * Compiles one shared library.
 * @param {string[]} args
 * @param {number} usual seconds that a machine's own compiler takes
 */
export async function compile(what, args, usual) {
  const [program, ...leading] = await findCompiler();
  // The wheel's first makes the C++ library.
  const seconds = leading.length > 0 ? 4 * usual : usual;
  const startedAt = Date.now();
  say(`compiling ${what} (about ${seconds} s)`);
  const { code, output } = await runProgram(program, [...leading, ...args], {
    progress: () => {
      const elapsed = Math.round((Date.now() - startedAt) / 1000);
      return elapsed % 10 < 2 ? `compiling ${what}: ${elapsed} of about ${seconds} s` : null;
    },
  });
  if (code !== 0) {
    const step = {
      what: `Compiling ${what} failed`,
      folder: runtimeFolder,
      source: '',
      elsewhere: otherRuntime,
      then: fixAgain,
    };
    throw (
      obstacleIn(output, step) ??
      new SetupError(`${step.what}:\n${output}`, 'Report this with the output above.')
    );
  }
}
