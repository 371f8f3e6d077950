import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';

/** Compute capabilities that the pinned wheels hold code for, by their major number. */
const oldestCapability = 6;
const newestCapability = 9;

/**
 * The NVIDIA GPU of this machine, and whether the pinned TensorFlow can use it. Of several the first that it can use.
 * @returns {Promise<{name: string | null, usable: boolean, reason: string}>} name null: there is none; reason: a phrase
 * that names the
 *   card and its driver, or says why it is not used
 */
export async function findGpu() {
  const { code, output } = await runProgram(
    'nvidia-smi',
    ['--query-gpu=name,compute_cap,driver_version', '--format=csv,noheader'],
    { timeoutMs: 10_000 },
  );
  const lines = code === 0 ? output.split('\n').filter((line) => line.split(',').length === 3) : [];
  const cards = lines.map(describe);
  return cards.find(({ usable }) => usable) ?? cards[0] ?? cardOfDriver();
}

/** @param {string} line name, compute capability, driver */
function describe(line) {
  const [name, capability, driver] = line.split(',').map((part) => part.trim());
  const major = Number(capability.split('.')[0]);
  const card = `${name} (compute capability ${capability}, driver ${driver})`;
  if (!(major >= oldestCapability))
    return { name, usable: false, reason: `${card} is too old for the TensorFlow wheels` };
  if (major > newestCapability)
    return { name, usable: false, reason: `${card} is newer than the TensorFlow wheels support` };
  return { name, usable: true, reason: card };
}

/**
 * What the kernel's driver says where nvidia-smi does not answer: there is a card, but nothing is known of what it can
 * do.
 */
function cardOfDriver() {
  const folder = '/proc/driver/nvidia/gpus';
  try {
    const card = readdirSync(folder)[0];
    const information = card ? readFileSync(join(folder, card, 'information'), 'utf8') : '';
    const name = /^Model:\s*(.+)$/m.exec(information)?.[1]?.trim();
    if (name)
      return { name, usable: false, reason: `${name} cannot be examined: nvidia-smi does not answer` };
  } catch {
    // No NVIDIA driver: no card.
  }
  return { name: null, usable: false, reason: 'no NVIDIA GPU found' };
}
