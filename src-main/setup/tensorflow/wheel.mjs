import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runProgram } from '../command.mjs';
import { runtimeFolder, versions } from '../paths.mjs';
import { cudaPackages, linkLibraries } from './cuda.mjs';
import { createDownloadProgress, folderBytes } from '../progress.mjs';
import { say, SetupError } from '../report.mjs';

/** TensorFlow's wheels; `bytes` is for the progress only. */
const wheels = {
  cpu: {
    package: 'tensorflow-cpu',
    bytes: 273_829_956,
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  },
  gpu: {
    package: 'tensorflow',
    bytes: 572_000_000,
    sha256: '9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124',
  },
};

const downloads = join(runtimeFolder, 'downloads');

/**
 * Options of every call: whole wheels for the pinned interpreter and platform, whatever Python runs pip; no second copy
 * in its cache.
 */
const pipOptions = [
  '--disable-pip-version-check',
  '--no-cache-dir',
  '--no-deps',
  '--only-binary=:all:',
  '--python-version=3.11',
  '--platform=manylinux_2_27_x86_64',
  '--platform=manylinux_2_17_x86_64',
  '--platform=manylinux2014_x86_64',
  '--retries=4',
  '--timeout=30',
];

/**
 * pip works in a folder of ours, where its progress can be seen; new ones continue a broken download (old ones ignore
 * the setting).
 */
function pipEnvironment(work) {
  return { ...process.env, TMPDIR: work, PIP_RESUME_RETRIES: '20' };
}

/** What pip gives as the reason: its last error line. */
function reasonOf(output) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const error = lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.at(-1) ?? 'pip said nothing';
  return error.replace(/^ERROR: */, '').slice(0, 500);
}

/**
 * Fetches TensorFlow's wheel. A complete one is not fetched again; what an interruption left half-done is.
 * @param {'cpu' | 'gpu'} kind
 * @param {string[]} pip as findPip gives it
 * @returns {Promise<string>} the wheel, its checksum verified
 */
export async function fetchWheel(kind, pip) {
  const { package: name, bytes, sha256 } = wheels[kind];
  const folder = join(downloads, `${name}-${versions.tensorflow}`);
  const work = join(folder, 'work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const complete = readdirSync(folder).find((file) => file.endsWith('.whl'));
  if (complete) return join(folder, complete);
  const label = `downloading ${name} ${versions.tensorflow}`;
  try {
    const file = await download(pip, `${name}==${versions.tensorflow}`, work, label, bytes);
    if ((await sha256Of(join(work, file))) !== sha256)
      throw new SetupError(
        `The downloaded ${name} has a wrong checksum and was removed.`,
        'Run `npm run -s studio -- doctor --fix` to fetch it again.',
      );
    renameSync(join(work, file), join(folder, file));
    return join(folder, file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @returns {Promise<string>} name of the wheel in `work` */
async function download(pip, requirement, work, label, bytes) {
  say(`${label} (${Math.round(bytes / 1e6)} MB)`);
  for (let attempt = 1; ; attempt++) {
    const { code, output } = await runProgram(
      pip[0],
      [...pip.slice(1), 'download', ...pipOptions, `--dest=${work}`, requirement],
      { env: pipEnvironment(work), progress: createDownloadProgress(label, () => folderBytes(work), bytes) },
    );
    const file = readdirSync(work).find((name) => name.endsWith('.whl'));
    if (code === 0 && file) return file;
    const hadBegun = output.includes('Downloading ');
    if (attempt === 3 || !hadBegun)
      throw new SetupError(
        `${requirement} could not be downloaded with pip: ${reasonOf(output)}`,
        'Check the connection to the Python package index, then run `npm run -s studio -- doctor --fix`.',
      );
    say(`the download broke off (${reasonOf(output)}); trying again`);
  }
}

async function sha256Of(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/**
 * Installs the CUDA libraries beside TensorFlow's, where its RUNPATH looks for them; those that are there are replaced.
 * @param {string[]} pip as findPip gives it
 * @param {string} library folder of the unpacked wheel
 */
export async function installCuda(pip, library) {
  const work = join(downloads, 'cuda');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  say(`installing the CUDA libraries (${cudaPackages.length} packages, about 3 GB)`);
  const before = folderBytes(library);
  const { code, output } = await runProgram(
    pip[0],
    [...pip.slice(1), 'install', ...pipOptions, '--upgrade', '--target', library, ...cudaPackages],
    {
      env: pipEnvironment(work),
      progress: createDownloadProgress(
        'installing the CUDA libraries',
        () => folderBytes(work, library) - before,
        null,
      ),
    },
  );
  rmSync(work, { recursive: true, force: true });
  if (code !== 0)
    throw new SetupError(
      `The CUDA libraries could not be installed with pip: ${reasonOf(output)}`,
      'Check the connection and the free disk space (9 GB are needed), then run `npm run -s studio -- doctor --fix`.',
    );
  linkLibraries(library);
}
