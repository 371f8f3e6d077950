import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runProgram } from '../command.mjs';
import { fixAgain, obstacleIn, otherRuntime, requireSpace } from '../surroundings/obstacles.mjs';
import { platformKey, repair, runtimeFolder, versions } from '../paths.mjs';
import { cudaPackages, linkLibraries } from './cuda.mjs';
import { createDownloadProgress, folderBytes, largestFileBytes } from '../progress.mjs';
import { withProxy } from '../surroundings/proxy.mjs';
import { say, SetupError } from '../report.mjs';

const linux = (machine) =>
  ['manylinux_2_27', 'manylinux_2_17', 'manylinux2014'].map((name) => `${name}_${machine}`);

/** How a library is made that finds TensorFlow's from where it lies itself. */
const linkers = {
  linux: {
    file: (part) => `libtensorflow_${part}.so.2`,
    suffix: '.so',
    origin: '$ORIGIN',
    options: [],
  },
  darwin: {
    file: (part) => `libtensorflow_${part}.2.dylib`,
    suffix: '.dylib',
    origin: '@loader_path',
    // Node's own functions are found when it loads the library.
    options: ['-undefined', 'dynamic_lookup'],
  },
};

/** TensorFlow's wheels by platform and kind; `bytes` (to download) is for the progress only. */
const wheels = {
  'linux-x64': {
    linker: linkers.linux,
    platforms: linux('x86_64'),
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
  },
  'linux-arm64': {
    linker: linkers.linux,
    platforms: linux('aarch64'),
    cpu: {
      package: 'tensorflow',
      bytes: 281_828_020,
      sha256: '4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c',
    },
  },
  'darwin-arm64': {
    linker: linkers.darwin,
    platforms: ['macosx_12_0_arm64'],
    cpu: {
      package: 'tensorflow',
      bytes: 223_405_849,
      sha256: '51f46f4806139d01fc7920cc72a4c75876f80649bf40ff083ab6212ceb43ca88',
    },
  },
};

/**
 * The wheel whose libraries the binding is compiled against.
 * @param {'cpu' | 'gpu'} kind
 * @param {string} [platform] as platformKey
 * @returns {{package: string, bytes: number, sha256: string, platforms: string[], linker: object} | null} null: there
 *   is none of this kind, and on a platform without one for the CPU the package's own installer serves
 */
export function wheelFor(kind, platform = platformKey) {
  const { [kind]: wheel, platforms, linker } = wheels[platform] ?? {};
  return wheel ? { ...wheel, platforms, linker } : null;
}

/** What a wheel and what is unpacked of it take together. @throws SetupError where the disk has no room for them */
export function requireWheelSpace(kind) {
  const { bytes } = wheelFor(kind);
  const unpacked = kind === 'gpu' ? 9e9 : 4 * bytes;
  requireSpace(runtimeFolder, unpacked, `TensorFlow ${versions.tensorflow}`, otherRuntime, fixAgain);
}

const downloads = join(runtimeFolder, 'downloads');

/**
 * Options of every call: whole wheels for the pinned interpreter and platform, whatever Python runs pip; no second copy
 * in its cache.
 */
const pipOptions = (platforms) => [
  '--disable-pip-version-check',
  '--no-cache-dir',
  '--no-deps',
  '--only-binary=:all:',
  '--python-version=3.11',
  ...platforms.map((platform) => `--platform=${platform}`),
  '--retries=4',
  '--timeout=30',
];

/**
 * pip works in a folder of ours, where its progress can be seen; new ones continue a broken download (old ones ignore
 * the setting).
 */
function pipEnvironment(work) {
  return { ...withProxy(), TMPDIR: work, PIP_RESUME_RETRIES: '20' };
}

/** Why pip failed: where it met nobody it goes on to say that there is no such package. */
function pipFailure(what, output, remedy) {
  const known = obstacleIn(output, {
    what,
    folder: runtimeFolder,
    source: 'the Python package index',
    elsewhere: otherRuntime,
    then: fixAgain,
  });
  return known ?? new SetupError(`${what}: ${reasonOf(output)}`, remedy);
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
  const wheel = wheelFor(kind);
  const { package: name, sha256 } = wheel;
  const folder = join(downloads, `${name}-${versions.tensorflow}`);
  const work = join(folder, 'work');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const complete = readdirSync(folder).find((file) => file.endsWith('.whl'));
  if (complete) return join(folder, complete);
  const label = `downloading ${name} ${versions.tensorflow}`;
  try {
    const file = await download(pip, `${name}==${versions.tensorflow}`, work, label, wheel);
    if ((await sha256Of(join(work, file))) !== sha256)
      throw new SetupError(
        `The downloaded ${name} has a wrong checksum and was removed.`,
        `To fetch it again, ${repair}.`,
      );
    renameSync(join(work, file), join(folder, file));
    return join(folder, file);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** @returns {Promise<string>} name of the wheel in `work` */
async function download(pip, requirement, work, label, { bytes, platforms }) {
  say(`${label} (${Math.round(bytes / 1e6)} MB)`);
  for (let attempt = 1; ; attempt++) {
    const { code, output } = await runProgram(
      pip[0],
      [...pip.slice(1), 'download', ...pipOptions(platforms), `--dest=${work}`, requirement],
      {
        env: pipEnvironment(work),
        progress: createDownloadProgress(label, () => largestFileBytes(work), bytes),
      },
    );
    const file = readdirSync(work).find((name) => name.endsWith('.whl'));
    if (code === 0 && file) return file;
    const hadBegun = output.includes('Downloading ');
    if (attempt === 3 || !hadBegun)
      throw pipFailure(
        `${requirement} could not be downloaded with pip`,
        output,
        `Check the connection to the Python package index. ${fixAgain}`,
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
  say(`installing the CUDA libraries (${cudaPackages.length} packages, about 3 GB, 6 GB unpacked)`);
  const before = folderBytes(library);
  const { code, output } = await runProgram(
    pip[0],
    [
      ...pip.slice(1),
      'install',
      ...pipOptions(wheelFor('gpu').platforms),
      '--upgrade',
      '--target',
      library,
      ...cudaPackages,
    ],
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
    throw pipFailure(
      'The CUDA libraries could not be installed with pip',
      output,
      `Check the connection and the free disk space (9 GB are needed). ${fixAgain}`,
    );
  linkLibraries(library);
}
