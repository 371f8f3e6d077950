import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, freemem, totalmem } from 'node:os';
import { promisify } from 'node:util';
import type { MachineLoad } from '../../contract/machine.ts';

const run = promisify(execFile);

const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
/** The studio's version, from package.json. */
export const studioVersion = manifest.version;

/** Where the driver's program is not there once, it is not looked for again. */
let hasGpu = true;

/**
 * How much of the machine is in use now. Memory is what this process may use: less than the machine's inside a
 * container.
 *
 * @param card whose memory is told; null: of that on which TensorFlow computes where nobody chooses
 */
export async function readLoad(card: string | null = null): Promise<MachineLoad> {
  const memoryBytes = usableMemory();
  const freeBytes = memoryBytes < totalmem() ? Math.min(freemem(), process.availableMemory()) : freemem();
  return {
    cores: cpus().length,
    memoryBytes,
    memoryUsedBytes: Math.max(0, memoryBytes - freeBytes),
    gpu: hasGpu ? await readGpu(card) : null,
  };
}

/** Memory that this process may use at most. */
export function usableMemory(): number {
  const limit = process.constrainedMemory();
  const whole = totalmem();
  return limit > 0 && limit < whole ? limit : whole;
}

/** The card that is asked for; else the first in the driver's order (loadTensorflow), or that which the user names. */
async function readGpu(asked: string | null): Promise<MachineLoad['gpu']> {
  try {
    const chosen = /^(\d+|GPU-[\w-]+)/.exec(asked ?? process.env['CUDA_VISIBLE_DEVICES'] ?? '');
    const fields = ['--query-gpu=name,memory.total,memory.used,compute_cap', '--format=csv,noheader,nounits'];
    const card = chosen ? [`--id=${chosen[0]}`] : [];
    const { stdout } = await run('nvidia-smi', [...card, ...fields], { timeout: 2000 });
    const [name, total, used, capability] = stdout
      .split('\n')[0]!
      .split(',')
      .map((part) => part.trim());
    // MiB, whatever `nounits` leaves out.
    const bytes = (text: string | undefined) => Number(text) * 2 ** 20;
    if (!name || !(bytes(total) > 0)) return null;
    const told = /^\d+\.\d+$/.test(capability ?? '') ? capability : null;
    return { name, memoryBytes: bytes(total), memoryUsedBytes: bytes(used), capability: told };
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ENOENT') hasGpu = false;
    return null;
  }
}
