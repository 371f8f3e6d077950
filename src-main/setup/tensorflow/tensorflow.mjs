import { copyFileSync, existsSync, mkdirSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { runProgram } from '../command.mjs';
import { buildBinding, packageFolder } from './binding.mjs';
import { findPip } from './toolchain.mjs';
import { linkLibraries, missingLibraries } from './cuda.mjs';
import { forgetFailure, recordFailure, tensorflowFailure, tryAgain } from './failure.mjs';
import { findGpu, installedWheel } from './gpu.mjs';
import { withLock } from '../lock.mjs';
import { nodeProgram } from '../checkout/node24.mjs';
import { explained, fixAgain, NoRoomError, obstacleIn, otherRuntime } from '../surroundings/obstacles.mjs';
import {
  bindingFolder,
  bindingLink,
  broughtRuntime,
  installedBinding,
  isPackaged,
  projectFolder,
  runtimeFolder,
  tfjsVersion,
  versions,
} from '../paths.mjs';
import { say, SetupError } from '../report.mjs';
import { fetchWheel, installCuda, requireWheelSpace, wheelFor } from './wheel.mjs';

/*
 * TensorFlow under @tensorflow/tfjs-node-gpu. The package's own installer fetches libtensorflow 2.9.1; the PyPI wheels
 * bring a current one whose library exports the same C API, so its binding is compiled against that.
 */

/** Whether the binding is there; whether it loads is for `doctor` to find out. */
export function tensorflowReady() {
  return existsSync(installedBinding) || existsSync(bindingLink);
}

/** Whether it is there, and was not compiled by an earlier version of this set-up. */
export function tensorflowCurrent() {
  if (!tensorflowReady()) return false;
  // Elsewhere it is the package's own.
  if (!wheelFor('cpu')) return true;
  const compiled = basename(dirname(realpathSync(installedBinding)));
  return !compiled.startsWith('tfjs-binding-') || compiled.endsWith(`-b${versions.bindings}`);
}

/**
 * Provides TensorFlow and its binding, unless that has failed before: a failure is not tried again at every start.
 * Never throws: the studio opens without, and says what is missing.
 * @returns {Promise<boolean>} whether it is there
 */
export async function ensureTensorflow() {
  if (tensorflowCurrent()) return true;
  return tensorflowFailure() ? tensorflowReady() : attempt();
}

/**
 * Puts right what is wrong with TensorFlow: missing, not to be loaded, or for the CPU where a GPU could be used. Never
 * throws.
 * @returns {Promise<boolean>} whether it is there
 */
export function repairTensorflow() {
  return withLock(join(runtimeFolder, '.setup.lock'), async () => {
    if (tensorflowReady()) {
      const problem = await loadProblem(installedBinding);
      if (!problem && tensorflowCurrent() && (await isBestKind())) {
        forgetFailure();
        return true;
      }
      if (problem) {
        say(`TensorFlow cannot be loaded: ${problem}`);
        rmSync(bindingLink, { force: true });
      }
    }
    return attempt();
  });
}

/** Whether no better TensorFlow than the installed one could be provided here. */
async function isBestKind() {
  if (!wheelFor('cpu')) return true;
  const wheel = installedWheel();
  if (!wheel) return false;
  if (wheel.kind === 'gpu') return missingLibraries(wheel.library).length === 0;
  return !wheelFor('gpu') || !(await findGpu()).usable;
}

async function attempt() {
  try {
    forgetFailure();
    if (wheelFor('cpu')) await provideFromWheel();
    else await runOwnInstaller();
  } catch (cause) {
    const error = explained(cause);
    say(`TensorFlow could not be provided: ${error.message}`);
    if (error.remedy) say(error.remedy);
    // It takes no less room.
    if (wheelFor('cpu') && !tensorflowReady() && !isPackaged && !(error instanceof NoRoomError))
      await runOwnInstaller().catch((own) => say(own.message));
    recordFailure(error);
  }
  return tensorflowReady();
}

async function provideFromWheel() {
  const gpu = await findGpu();
  if (gpu.usable && wheelFor('gpu'))
    try {
      await provide('gpu', gpu.reason);
      return;
    } catch (error) {
      say(`TensorFlow for the GPU could not be provided: ${error.message}`);
      // The CPU's is better than none, and keeps what is there.
      await provide('cpu', 'without the GPU');
      throw error;
    }
  await provide('cpu', `${gpu.reason}: on the CPU`);
}

/** Provides library and binding of one kind, checks that they load, and links them into the checkout. */
async function provide(kind, reason) {
  const library = join(runtimeFolder, `tensorflow-${kind}-${versions.tensorflow}`);
  const bindingName = join(bindingFolder(tfjsVersion(), kind), 'tfjs_binding.node');
  const binding = join(runtimeFolder, bindingName);
  const build = async () => {
    if (!existsSync(library)) {
      say(`providing TensorFlow ${versions.tensorflow} (${reason})`);
      await unpackWheel(kind, library);
    }
    // An application brings its own, and no sources of it.
    if (!existsSync(binding) && isPackaged) copyWhole(join(broughtRuntime, bindingName), binding);
    else if (!existsSync(binding)) await buildBinding(library, binding);
    return loadProblem(binding);
  };
  const wasThere = existsSync(library);
  let problem = await build();
  if (problem && wasThere) {
    // What is on the disk may be damaged; what has just been unpacked would only come again.
    say(`TensorFlow cannot be loaded and is provided anew: ${problem}`);
    rmSync(dirname(binding), { recursive: true, force: true });
    rmSync(library, { recursive: true, force: true });
    problem = await build();
  }
  if (problem)
    throw new SetupError(
      `TensorFlow ${versions.tensorflow} is installed but cannot be loaded: ${problem}`,
      'It needs a Linux with glibc 2.27 or newer and a processor with AVX, or macOS 12 on Apple silicon. ' +
        tryAgain,
    );
  if (kind === 'gpu') await completeCuda(library);
  mkdirSync(dirname(bindingLink), { recursive: true });
  // A link: the library is found relative to the binding's real place.
  const link = `${bindingLink}.${process.pid}.partial`;
  rmSync(link, { force: true });
  symlinkSync(binding, link);
  renameSync(link, bindingLink);
}

/** A copy that is complete or absent. */
function copyWhole(from, to) {
  mkdirSync(dirname(to), { recursive: true });
  const temporary = `${to}.${process.pid}.partial`;
  copyFileSync(from, temporary);
  renameSync(temporary, to);
}

/** Puts right what TensorFlow would not find of CUDA: it loads without, and then takes no GPU. */
async function completeCuda(library) {
  linkLibraries(library);
  const missing = missingLibraries(library);
  if (missing.length === 0) return;
  say(`TensorFlow for the GPU does not find ${missing.join(', ')}`);
  await installCuda(await requirePip(), library);
  const still = missingLibraries(library);
  if (still.length > 0)
    throw new SetupError(
      `TensorFlow for the GPU does not find ${still.join(', ')}, though its packages are installed.`,
      'Report this as a defect.',
    );
}

/** Loads a binding in a process of its own. @returns {Promise<string | null>} what the loader says against it */
async function loadProblem(binding) {
  const program = nodeProgram() ?? process.execPath;
  const load = 'process.dlopen({ exports: {} }, process.argv[1])';
  const env = { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' };
  const { code, output } = await runProgram(program, ['-e', load, binding], { env, timeoutMs: 120_000 });
  if (code === 0) return null;
  const error = /^Error: (.+)$/m.exec(output)?.[1];
  // What TensorFlow says at every start is no reason.
  const said = output
    .split('\n')
    .findLast((line) => line.trim() !== '' && !/^(I\d{4} |WARNING: All)/.test(line));
  return error ?? said?.trim().slice(0, 500) ?? `its process ended with code ${code}`;
}

async function requirePip() {
  const pip = await findPip();
  if (!pip)
    throw new SetupError(
      'Python with pip is needed to fetch TensorFlow, and none was found.',
      `Install it (Debian and Ubuntu: apt install python3-pip). ${fixAgain}`,
    );
  return pip;
}

async function unpackWheel(kind, library) {
  const pip = await requirePip();
  requireWheelSpace(kind);
  const wheel = await fetchWheel(kind, pip);
  say('unpacking TensorFlow');
  const temporary = `${library}.partial`;
  rmSync(temporary, { recursive: true, force: true });
  try {
    const { code, output } = await runProgram(pip[0], [
      join(projectFolder, 'src-main', 'setup', 'unpack_wheel.py'),
      wheel,
      temporary,
    ]);
    if (code !== 0) {
      const what = 'The TensorFlow wheel could not be unpacked';
      throw (
        obstacleIn(output, { what, folder: library, source: '', elsewhere: otherRuntime, then: fixAgain }) ??
        new SetupError(`${what}: ${output.trim().split('\n').at(-1)}`, tryAgain)
      );
    }
    if (kind === 'gpu') await installCuda(pip, temporary);
    rmSync(library, { recursive: true, force: true });
    renameSync(temporary, library);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  rmSync(dirname(wheel), { recursive: true, force: true });
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
  if (code !== 0 || !tensorflowReady()) throw ownInstallerFailure(output);
}

/** Of what it prints the line that names the error, not the trace below it. */
function ownInstallerFailure(output) {
  const what = "tfjs-node-gpu's own installer failed";
  const lines = output.split('\n').map((line) => line.trim());
  const error = lines.find((line) => /^\w*Error:/.test(line)) ?? lines.findLast(Boolean) ?? 'it said nothing';
  return (
    obstacleIn(error, { what, folder: packageFolder, source: 'its server', then: fixAgain }) ??
    new SetupError(`${what}: ${error.slice(0, 300)}`, tryAgain)
  );
}
