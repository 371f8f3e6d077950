import { runProgram } from '../command.mjs';

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
