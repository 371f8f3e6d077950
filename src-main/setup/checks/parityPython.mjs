import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';
import { withLock } from '../lock.mjs';
import { projectFolder, runtimeFolder } from '../paths.mjs';
import { createDownloadProgress, folderBytes } from '../progress.mjs';
import { findPip } from '../tensorflow/toolchain.mjs';
import { say, SetupError } from '../report.mjs';

const requirements = join(projectFolder, 'tests', 'parity', 'requirements.txt');

/** Python of a virtual environment: its path differs by platform. */
function pythonIn(folder) {
  return process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
}

/**
 * A Python with the packages that compute reference values, in an environment of its own that may be deleted at any
 * time. It is made once for each version of the requirements; environments of other versions are removed.
 * ID_LORA_PARITY_PYTHON names another Python instead, which is taken as it is.
 * @returns {Promise<string>} the program
 */
export async function ensureParityPython() {
  if (process.env.ID_LORA_PARITY_PYTHON) return process.env.ID_LORA_PARITY_PYTHON;
  const text = readFileSync(requirements, 'utf8');
  const key = createHash('sha256').update(text).digest('hex').slice(0, 12);
  const folder = join(runtimeFolder, `parity-python-${key}`);
  // Scripts of an environment hold its path, so it is made where it stays; the mark says that it is complete.
  const mark = join(folder, 'complete');
  if (existsSync(mark)) return pythonIn(folder);
  return withLock(join(runtimeFolder, '.parity.lock'), async () => {
    if (existsSync(mark)) return pythonIn(folder);
    for (const name of readdirSync(runtimeFolder))
      if (name.startsWith('parity-python-')) rmSync(join(runtimeFolder, name), { recursive: true });
    try {
      await makeEnvironment(folder);
      await installRequirements(pythonIn(folder), folder, text);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
    const partial = `${mark}.partial`;
    writeFileSync(partial, text);
    renameSync(partial, mark);
    return pythonIn(folder);
  });
}

async function makeEnvironment(folder) {
  const pip = await findPip();
  if (!pip)
    throw new SetupError(
      'Python 3.11 or newer with pip is needed to compute reference values, and none was found.',
      'Install it (Debian and Ubuntu: apt install python3-pip python3-venv), or name one with PYTHON=/path/to/python.',
    );
  const [python] = pip;
  const version = await runProgram(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
  const [major, minor] = version.output.trim().split('.').map(Number);
  if (version.code !== 0 || major !== 3 || minor < 11)
    throw new SetupError(
      `The packages for reference values need Python 3.11 or newer; ${python} is ${version.output.trim()}.`,
      'Name a newer one with PYTHON=/path/to/python.',
    );
  say(`making a Python environment for reference values in ${folder} (it may be deleted at any time)`);
  const { code, output } = await runProgram(python, ['-m', 'venv', '--clear', folder]);
  if (code !== 0)
    throw new SetupError(
      `The Python environment could not be made: ${lastLine(output)}`,
      'Python needs its module venv (Debian and Ubuntu: apt install python3-venv).',
    );
}

async function installRequirements(python, folder, text) {
  const torch = /^torch==(\S+)$/m.exec(text)[1];
  const work = join(folder, 'downloads');
  mkdirSync(work);
  const install = (packages) => {
    const label = 'installing PyTorch, transformers and PEFT';
    const options = ['--disable-pip-version-check', '--no-cache-dir', '--retries=4', '--timeout=60'];
    return runProgram(python, ['-m', 'pip', 'install', ...options, ...packages], {
      env: { ...process.env, TMPDIR: work, PIP_RESUME_RETRIES: '20' },
      progress: createDownloadProgress(label, () => folderBytes(folder), null),
    });
  };
  // The ordinary index has PyTorch for Linux only with CUDA (5 GB on the disk); where pip knows of a build without,
  // that is enough.
  const small =
    process.platform === 'linux' ? await install(['--only-binary=:all:', `torch==${torch}+cpu`]) : null;
  if (small && small.code !== 0)
    say('pip knows no PyTorch for the CPU alone; fetching the one with CUDA (about 3 GB)');
  const { code, output } = await install(['-r', requirements]);
  if (code !== 0)
    throw new SetupError(
      `The Python packages could not be installed: ${lastLine(output)}`,
      'Check the connection to the Python package index and the free disk space (6 GB), then try again.',
    );
  rmSync(work, { recursive: true, force: true });
}

function lastLine(output) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.at(-1) ?? 'no message';
}
