import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { StudioError } from '../../../contract/errors.ts';
import { askGuard, type Guard } from '../guard.ts';
import { cancelled, limits, trySandbox, type Sandbox } from '../sandbox.ts';

const run = promisify(execFile);

const child = fileURLToPath(new URL('./child.ts', import.meta.url));

/** Pyodide with Node around it; Python's memory comes on top. Limited where a shell can limit it. */
const processBytes = 900 * 2 ** 20;
/** Seconds of processor time for the start and the program, beside which the studio watches the wall's. */
const cpuSeconds = 90;

/**
 * Python as WebAssembly in a Node process that may read Pyodide's files and do nothing else (child.ts): slower than
 * bubblewrap, and nothing but npm's packages is needed.
 *
 * @throws StudioError sandbox_missing
 */
export async function openPyodide(signal: AbortSignal): Promise<Sandbox> {
  const folder = pyodideFolder();
  if (folder === null)
    throw new StudioError(
      'sandbox_missing',
      'Pyodide is not installed.',
      'Install the packages anew: npm ci',
    );
  const { memory, script, version, python } = await prepare(folder, signal);
  const guard = guardOf(folder, ['--input-type=module', '-e', script, folder, 'run']);
  const sandbox: Sandbox = {
    kind: 'pyodide',
    description: `Pyodide ${version}, Python ${python}`,
    python,
    run: ({ source, tests }, options) =>
      askGuard(
        guard,
        (token) => {
          const { outputBytes, temporaryBytes } = limits;
          const request = { token, source, tests, outputBytes, temporaryBytes };
          const bytes = Buffer.from(JSON.stringify(request));
          const sizes = [bytes, memory].map(({ length }) => String(length).padStart(10, '0'));
          return [...sizes, bytes, memory];
        },
        options,
      ),
  };
  const complaint = await trySandbox(sandbox, signal);
  if (complaint === null) return sandbox;
  throw new StudioError('sandbox_missing', `Pyodide does not work here (${complaint}).`, 'Report this.');
}

/**
 * Node with nothing but the right to read Pyodide, code from text refused, and limits of memory, time and files from
 * the shell that starts it. Windows has no such shell: there the limits of Python's memory and of time remain.
 *
 * @param readable what else it may read
 */
function guardOf(folder: string, script: readonly string[], readable: readonly string[] = []): Guard {
  const args = [
    '--permission',
    ...[folder, ...readable].map((path) => `--allow-fs-read=${path}`),
    '--disallow-code-generation-from-strings',
    `--wasm-max-mem-pages=${limits.memoryBytes / 2 ** 16}`,
    '--max-old-space-size=128',
    '--no-warnings',
    ...script,
  ];
  if (process.platform === 'win32') {
    // Without it Windows finds none of its own libraries.
    const env = { SystemRoot: process.env['SystemRoot'] };
    return { file: process.execPath, args, graceSeconds: 0, env };
  }
  const kibibytes = (limits.memoryBytes + processBytes) / 1024;
  const shell = `ulimit -d ${kibibytes}; ulimit -t ${cpuSeconds}; ulimit -f 0; ulimit -c 0; exec "$0" "$@"`;
  return { file: '/bin/sh', args: ['-c', shell, process.execPath, ...args], graceSeconds: 0 };
}

interface Prepared {
  /** Of a Python that has just started. */
  memory: Uint8Array;
  /** What the child runs, without types. */
  script: string;
  version: string;
  python: string;
}

async function prepare(folder: string, signal: AbortSignal): Promise<Prepared> {
  // Node looks into package.json for the kind of a module.
  const readable = [child, fileURLToPath(new URL('../../../../package.json', import.meta.url))];
  const { file, args, env = {} } = guardOf(folder, [child, folder, 'prepare'], readable);
  try {
    const { stdout, stderr } = await run(file, args, {
      encoding: 'buffer',
      maxBuffer: 128 * 2 ** 20,
      timeout: 120_000,
      env,
      signal,
    });
    return { memory: stdout, ...(JSON.parse(stderr.toString()) as Omit<Prepared, 'memory'>) };
  } catch (error) {
    if (signal.aborted) throw cancelled();
    const what = String((error as { stderr?: Buffer }).stderr ?? error)
      .trim()
      .slice(-500);
    throw new StudioError(
      'sandbox_missing',
      `Pyodide does not start here (${what}).`,
      'Report this with the text above.',
    );
  }
}

/** Where npm put it; null: nowhere. */
function pyodideFolder(): string | null {
  try {
    const folder = dirname(createRequire(import.meta.url).resolve('pyodide/pyodide.mjs'));
    return existsSync(join(folder, 'pyodide.asm.wasm')) ? folder : null;
  } catch {
    return null;
  }
}
