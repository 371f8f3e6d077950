import { cpus, totalmem } from 'node:os';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DoctorReport } from '../contract/entities.ts';
import { toPlainError } from '../contract/errors.ts';
import type { EngineHost } from '../engine/process/supervisor.ts';
import { studioVersion } from './version.ts';

type Check = DoctorReport['checks'][number];

/** Checkpoints and caches need room; below this a training run is likely to fail. */
const comfortableBytes = 5e9;

/** Looks at everything the studio needs on this machine. Needs no database. */
export async function examine(home: string, engine: EngineHost): Promise<DoctorReport> {
  const checks: Check[] = [
    ok('studio', `version ${studioVersion}`),
    ok('node', `${process.versions.node} (core and engine)`),
    await checkTensorflow(engine),
    ok('machine', `${cpus().length} cores, ${(totalmem() / 2 ** 30).toFixed(1)} GiB memory`),
    checkHome(home),
  ];
  return { ok: checks.every(({ status }) => status !== 'missing'), checks };
}

function ok(name: string, detail: string): Check {
  return { name, status: 'ok', detail, remedy: null };
}

async function checkTensorflow(engine: EngineHost): Promise<Check> {
  try {
    const found = await engine.start({ kind: 'probe' }).result;
    return ok(
      'tensorflow',
      `${found.tensorflow} under tfjs-node-gpu ${found.binding}, device ${found.devices.join(', ')}`,
    );
  } catch (error) {
    const { message, remedy } = toPlainError(error);
    return { name: 'tensorflow', status: 'missing', detail: message, remedy };
  }
}

function checkHome(home: string): Check {
  try {
    mkdirSync(home, { recursive: true });
    const probe = join(home, `.write-check-${process.pid}`);
    writeFileSync(probe, 'x');
    rmSync(probe);
    const { bavail, bsize } = statfsSync(home);
    const free = bavail * bsize;
    const detail = `${home}, ${(free / 1e9).toFixed(1)} GB free`;
    return free >= comfortableBytes
      ? ok('data folder', detail)
      : {
          name: 'data folder',
          status: 'warning',
          detail,
          remedy: 'Free some space, or choose a data folder on another disk with --home DIR.',
        };
  } catch (error) {
    const { message } = toPlainError(error);
    return {
      name: 'data folder',
      status: 'missing',
      detail: `${home} cannot be written: ${message}`,
      remedy: 'Choose a folder that you may write to with --home DIR.',
    };
  }
}
