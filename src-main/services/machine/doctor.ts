import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DoctorReport } from '../../contract/machine.ts';
import { toPlainError, type PlainError } from '../../contract/errors.ts';
import { tensorflowFailure } from '../../setup/tensorflow/failure.mjs';
import { findGpu, installedWheel, whyUnused } from '../../setup/tensorflow/gpu.mjs';
import { freeBytes } from './disk.ts';
import { isCodeAllowed } from '../../evaluation/sandbox/consent.ts';
import { findSandbox } from '../../evaluation/sandbox/findSandbox.ts';
import type { Sandbox } from '../../evaluation/sandbox/sandbox.ts';
import type { EngineProbe } from '../context.ts';
import { homePaths } from '../homePaths.ts';
import { readLoad, studioVersion } from './machine.ts';

type Check = DoctorReport['checks'][number];

/** Checkpoints and caches need room; below this a training run is likely to fail. */
const comfortableBytes = 5e9;
/** The engine with its graph needs about this much before any weight. */
const leastFreeMemoryBytes = 1.5e9;

/**
 * Looks at everything the studio needs on this machine. Needs no database.
 * @param cards those that jobs share, in words; null: there are not several
 */
export async function examine(
  home: string,
  engine: EngineProbe,
  cards: () => Promise<string | null> = async () => null,
): Promise<DoctorReport> {
  const log: string[] = [];
  const [probe, sandbox] = await Promise.all([
    engine.askAnew((line) => log.push(line)).catch((error: unknown) => toPlainError(error)),
    checkSandbox(),
  ]);
  const [load, several] = await Promise.all([readLoad(), cards()]);
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  const freeMemoryBytes = load.memoryBytes - load.memoryUsedBytes;
  const checks: Check[] = [
    ok('studio', `version ${studioVersion}`),
    ok('node', `${process.versions.node} (core and engine)`),
    'devices' in probe
      ? ok(
          'tensorflow',
          `${probe.tensorflow} under tfjs-node-gpu ${probe.binding}, device ${probe.devices.join(', ')}`,
        )
      : missingTensorflow(probe),
    await checkGpu('devices' in probe ? probe.devices : null, log),
    ...(several === null ? [] : [ok('cards', several)]),
    ok('machine', `${load.cores} cores, ${gigabytes(load.memoryBytes)} GB memory`),
    freeMemoryBytes >= leastFreeMemoryBytes
      ? ok('memory', `${gigabytes(freeMemoryBytes)} GB free`)
      : {
          ...ok('memory', `${gigabytes(freeMemoryBytes)} GB free`),
          status: 'warning',
          remedy: 'Close other programs before a run starts.',
        },
    sandbox,
    checkConsent(home),
    checkHome(home),
  ];
  return {
    ok: checks.every(({ status }) => status !== 'missing'),
    checks,
    device: 'devices' in probe ? probe.devices.join(', ') : null,
  };
}

/** Why set-up could not provide it says more than that it cannot be loaded. */
function missingTensorflow(loading: PlainError): Check {
  const { message, remedy } = tensorflowFailure() ?? loading;
  return { name: 'tensorflow', status: 'missing', detail: message, remedy, repairable: true };
}

function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, remedy: null, repairable: false };
}

/**
 * A GPU that TensorFlow could use and does not is said with the reason; the repair is offered where it changes that.
 * @param devices what TensorFlow computes on; null: it cannot be loaded
 * @param log what it printed as it looked for devices
 */
async function checkGpu(devices: readonly string[] | null, log: readonly string[]): Promise<Check> {
  const gpu = await findGpu();
  if (!gpu.usable)
    return {
      ...ok('gpu', `${gpu.reason}: training runs on the CPU`),
      status: gpu.remedy ? 'warning' : 'ok',
      remedy: gpu.remedy,
    };
  if (devices === null || devices.includes('gpu')) return ok('gpu', gpu.reason);
  const { reason, ...mend } = await whyUnused(installedWheel(), log);
  return { name: 'gpu', status: 'warning', detail: `${gpu.reason} is not used: ${reason}`, ...mend };
}

/** Descriptions of sandboxes that worked: the page asks whenever it opens, and Pyodide takes seconds to try. */
const workingSandboxes = new Map<Sandbox['kind'], string>();

async function trySandbox(kind: Sandbox['kind']): Promise<string> {
  const known = workingSandboxes.get(kind);
  if (known !== undefined) return known;
  const { description } = await findSandbox(new AbortController().signal, [kind]);
  workingSandboxes.set(kind, description);
  return description;
}

/** Without one the studio does all but benchmarks that run what a model wrote. */
async function checkSandbox(): Promise<Check> {
  try {
    return ok('sandbox', await trySandbox('bubblewrap'));
  } catch (error) {
    const { message, remedy } = toPlainError(error);
    try {
      return ok('sandbox', `${await trySandbox('pyodide')}, slower than bubblewrap. ${message} ${remedy}`);
    } catch (other) {
      const detail = `${message} ${toPlainError(other).message} HumanEval cannot be graded.`;
      return { ...ok('sandbox', detail), status: 'warning', remedy };
    }
  }
}

/** No fault either way: what the user has decided. */
function checkConsent(home: string): Check {
  return ok(
    'generated code',
    isCodeAllowed(homePaths(home).codeExecution)
      ? 'is run in the sandbox, as you have agreed; settings code-execution forbid takes it back'
      : 'is not run; settings code-execution allow agrees to it, or Settings',
  );
}

function checkHome(home: string): Check {
  try {
    mkdirSync(home, { recursive: true });
    const probe = join(home, `.write-check-${process.pid}`);
    writeFileSync(probe, 'x');
    rmSync(probe);
    const free = freeBytes(home);
    const detail = `${home}, ${(free / 1e9).toFixed(1)} GB free`;
    return free >= comfortableBytes
      ? ok('data folder', detail)
      : {
          ...ok('data folder', detail),
          status: 'warning',
          remedy: 'Free some space, or choose a data folder on another disk with --home DIR.',
        };
  } catch (error) {
    const { message } = toPlainError(error);
    return {
      ...ok('data folder', `${home} cannot be written: ${message}`),
      status: 'missing',
      remedy: 'Choose a folder that you may write to with --home DIR.',
    };
  }
}
