import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DoctorReport } from '../../contract/machine.ts';
import { toPlainError } from '../../contract/errors.ts';
import type { ProbeResult } from '../../engine/protocol.ts';
import { findGpu } from '../../setup/tensorflow/gpu.mjs';
import { freeBytes } from './disk.ts';
import type { EngineProbe } from '../context.ts';
import { readLoad, studioVersion } from './machine.ts';

type Check = DoctorReport['checks'][number];

/** Checkpoints and caches need room; below this a training run is likely to fail. */
const comfortableBytes = 5e9;
/** The engine with its graph needs about this much before any weight. */
const leastFreeMemoryBytes = 1.5e9;

/** Looks at everything the studio needs on this machine. Needs no database. */
export async function examine(home: string, engine: EngineProbe): Promise<DoctorReport> {
  const probe = await engine.askAnew().catch((error: unknown) => toPlainError(error));
  const load = await readLoad();
  const gigabytes = (bytes: number) => (bytes / 2 ** 30).toFixed(1);
  const freeMemoryBytes = load.memoryBytes - load.memoryUsedBytes;
  const checks: Check[] = [
    ok('studio', `version ${studioVersion}`),
    ok('node', `${process.versions.node} (core and engine)`),
    'devices' in probe
      ? ok(
          'tensorflow',
          `${probe.tensorflow} under tfjs-node-gpu ${probe.binding}, device ${probe.devices.join(', ')}`,
        )
      : { ...ok('tensorflow', probe.message), status: 'missing', remedy: probe.remedy, repairable: true },
    await checkGpu('devices' in probe ? probe : null),
    ok('machine', `${load.cores} cores, ${gigabytes(load.memoryBytes)} GiB memory`),
    freeMemoryBytes >= leastFreeMemoryBytes
      ? ok('memory', `${gigabytes(freeMemoryBytes)} GiB free`)
      : {
          ...ok('memory', `${gigabytes(freeMemoryBytes)} GiB free`),
          status: 'warning',
          remedy: 'Close other programs before a run starts.',
        },
    checkHome(home),
  ];
  return {
    ok: checks.every(({ status }) => status !== 'missing'),
    checks,
    device: 'devices' in probe ? probe.devices.join(', ') : null,
  };
}

function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, remedy: null, repairable: false };
}

/** A GPU that TensorFlow could use and does not is worth a repair; one that it cannot use, or none, is said. */
async function checkGpu(probe: ProbeResult | null): Promise<Check> {
  const gpu = await findGpu();
  if (probe?.devices.includes('gpu')) return ok('gpu', gpu.reason);
  if (!gpu.usable) return ok('gpu', `${gpu.reason}: training runs on the CPU`);
  return {
    name: 'gpu',
    status: 'warning',
    detail: `${gpu.reason} is not used: TensorFlow here is for the CPU`,
    remedy: 'The repair fetches TensorFlow for the GPU (about 3.6 GB to download, 9 GB on the disk).',
    repairable: true,
  };
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
