import { createHash } from 'node:crypto';
import {
  createReadStream,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runProgram } from './command.mjs';
import { compile } from './compiler.mjs';
import { findGpu } from './gpu.mjs';
import { modulesFolder, platformKey, runtimeFolder, versions } from './paths.mjs';
import { findPip } from './python.mjs';
import { say, SetupError } from './report.mjs';

/**
 * TensorFlow under @tensorflow/tfjs-node-gpu. The package's own installer fetches libtensorflow 2.9.1; the PyPI wheels bring a
 * current one whose library exports the same C API, so its binding is compiled against that.
 */
const wheels = {
  cpu: {
    package: 'tensorflow-cpu',
    bytes: 273_829_956,
    sha256: '2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c',
  },
  gpu: { package: 'tensorflow', bytes: 572_000_000, sha256: null },
};

const packageFolder = join(modulesFolder, '@tensorflow', 'tfjs-node-gpu');
const installedBinding = join(packageFolder, 'lib', 'napi-v8', 'tfjs_binding.node');
const stateFile = join(runtimeFolder, 'tensorflow-state.json');

export function tensorflowReady() {
  return existsSync(installedBinding);
}

/** Why the last attempt failed, or null. */
export function tensorflowFailure() {
  if (tensorflowReady() || !existsSync(stateFile)) return null;
  return JSON.parse(readFileSync(stateFile, 'utf8'));
}

/**
 * Provides TensorFlow and its binding. Never throws: the studio opens without, and says what is missing.
 * @returns {Promise<boolean>} whether it is there
 */
export async function ensureTensorflow({ retry = false } = {}) {
  if (tensorflowReady()) return true;
  // A failure is not tried again at every start; `doctor --fix` does.
  if (!retry && tensorflowFailure()) return false;
  rmSync(stateFile, { force: true });
  try {
    if (platformKey === 'linux-x64') await provideFromWheel();
    else await runOwnInstaller();
    return true;
  } catch (error) {
    say(`TensorFlow could not be provided: ${error.message}`);
    if (
      platformKey === 'linux-x64' &&
      (await runOwnInstaller().then(
        () => true,
        () => false,
      ))
    )
      return true;
    mkdirSync(runtimeFolder, { recursive: true });
    writeFileSync(
      stateFile,
      JSON.stringify({
        message: error.message,
        remedy: error.remedy ?? 'Run `npm run -s studio -- doctor --fix` to try again.',
      }),
    );
    return false;
  }
}

async function provideFromWheel() {
  const gpu = await findGpu();
  const kind = gpu.usable ? 'gpu' : 'cpu';
  const library = join(runtimeFolder, `tensorflow-${kind}-${versions.tensorflow}`);
  if (!existsSync(library)) {
    say(`providing TensorFlow ${versions.tensorflow} for the ${kind.toUpperCase()} (${gpu.reason})`);
    await unpackWheel(kind, library);
  }
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  const binding = join(
    runtimeFolder,
    `tfjs-binding-${version}-${kind}-${versions.tensorflow}-b${versions.bindings}`,
    'tfjs_binding.node',
  );
  if (!existsSync(binding)) await buildBinding(library, binding);
  mkdirSync(dirname(installedBinding), { recursive: true });
  // A link: the library is found relative to the binding's real place.
  if (lstatSync(installedBinding, { throwIfNoEntry: false })) rmSync(installedBinding);
  symlinkSync(binding, installedBinding);
}

async function unpackWheel(kind, library) {
  const pip = await findPip();
  if (!pip)
    throw new SetupError(
      'Python with pip is needed to fetch TensorFlow, and none was found.',
      'Install it (Debian and Ubuntu: apt install python3-pip), then run `npm run -s studio -- doctor --fix`.',
    );
  const wheel = await downloadWheel(kind, pip);
  say('unpacking TensorFlow');
  const temporary = `${library}.${process.pid}.partial`;
  rmSync(temporary, { recursive: true, force: true });
  const { code, output } = await runProgram(pip[0], [
    join(modulesFolder, '..', 'src-main', 'setup', 'unpack_wheel.py'),
    wheel,
    temporary,
  ]);
  if (code !== 0)
    throw new SetupError(
      `The TensorFlow wheel could not be unpacked:\n${output}`,
      'Check the free disk space (2 GB are needed).',
    );
  if (kind === 'gpu') await installCuda(pip, temporary);
  rmSync(library, { recursive: true, force: true });
  renameSync(temporary, library);
  rmSync(dirname(wheel), { recursive: true, force: true });
}

/** Fetches the wheel into a folder that survives an interruption; a complete wheel is not fetched again. */
async function downloadWheel(kind, pip) {
  const { package: name, bytes, sha256 } = wheels[kind];
  const folder = join(runtimeFolder, 'downloads', `${name}-${versions.tensorflow}`);
  mkdirSync(folder, { recursive: true });
  const find = () => readdirSync(folder).find((file) => file.endsWith('.whl'));
  for (let attempt = 1; !find(); attempt++) {
    say(`downloading ${name} ${versions.tensorflow} (${Math.round(bytes / 1e6)} MB)`);
    const work = join(folder, 'tmp');
    mkdirSync(work, { recursive: true });
    const { code, output } = await runProgram(
      pip[0],
      [
        ...pip.slice(1),
        'download',
        '--disable-pip-version-check',
        '--no-deps',
        '--only-binary=:all:',
        '--python-version=3.11',
        '--platform=manylinux_2_27_x86_64',
        '--platform=manylinux_2_17_x86_64',
        '--platform=manylinux2014_x86_64',
        '--retries=10',
        `--dest=${folder}`,
        `${name}==${versions.tensorflow}`,
      ],
      {
        env: { ...process.env, TMPDIR: work },
        progress: () => `downloaded ${Math.round(folderBytes(work) / 1e6)} of ${Math.round(bytes / 1e6)} MB`,
      },
    );
    rmSync(work, { recursive: true, force: true });
    if (code !== 0 && attempt === 3)
      throw new SetupError(
        `${name} could not be downloaded:\n${output.slice(-1500)}`,
        'Check the connection to the Python package index, then run `npm run -s studio -- doctor --fix`.',
      );
  }
  const wheel = join(folder, find());
  if (sha256) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(wheel), hash);
    if (hash.digest('hex') !== sha256) {
      rmSync(wheel);
      throw new SetupError(
        `The downloaded ${name} has a wrong checksum and was removed.`,
        'Run `npm run -s studio -- doctor --fix` to fetch it again.',
      );
    }
  }
  return wheel;
}

function folderBytes(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce(
      (total, entry) =>
        total +
        (statSync(join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
}

/** CUDA libraries beside the library, where its RUNPATH looks for them. */
async function installCuda(pip, library) {
  const requirements = readFileSync(join(library, 'cuda-requirements.txt'), 'utf8')
    .split('\n')
    .filter(Boolean);
  say(`installing the CUDA libraries (${requirements.length} packages, about 3 GB)`);
  const { code, output } = await runProgram(
    pip[0],
    [
      ...pip.slice(1),
      'install',
      '--no-deps',
      '--only-binary=:all:',
      '--platform=manylinux_2_27_x86_64',
      '--platform=manylinux2014_x86_64',
      '--target',
      library,
      ...requirements,
    ],
    { progress: () => `installed ${Math.round(folderBytes(library) / 1e6)} MB` },
  );
  if (code !== 0)
    throw new SetupError(
      `The CUDA libraries could not be installed:\n${output}`,
      'Check the free disk space (6 GB are needed).',
    );
}

async function buildBinding(library, target) {
  const folder = dirname(target);
  const links = join(folder, 'lib');
  mkdirSync(links, { recursive: true });
  for (const name of ['tensorflow', 'tensorflow_framework']) {
    const real = join(
      library,
      'tensorflow',
      name === 'tensorflow' ? 'libtensorflow_cc.so.2' : 'libtensorflow_framework.so.2',
    );
    rmSync(join(links, `lib${name}.so`), { force: true });
    symlinkSync(real, join(links, `lib${name}.so`));
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
      ...sources,
      `-L${links}`,
      '-ltensorflow',
      '-ltensorflow_framework',
      `-Wl,-rpath,${join(library, 'tensorflow')}`,
      '-o',
      temporary,
    ],
    20,
  );
  renameSync(temporary, target);
}

/** The package's own installer: libtensorflow 2.9.1 and a prebuilt binding. */
async function runOwnInstaller() {
  say("trying tfjs-node-gpu's own installer");
  const { code, output } = await runProgram(
    process.execPath,
    [join(packageFolder, 'scripts', 'install.js')],
    {
      cwd: packageFolder,
      timeoutMs: 15 * 60_000,
    },
  );
  if (code !== 0 || !tensorflowReady())
    throw new SetupError(
      `tfjs-node-gpu's own installer failed:\n${output.slice(-1500)}`,
      'Run `npm run -s studio -- doctor --fix` with a connection to the internet.',
    );
}
