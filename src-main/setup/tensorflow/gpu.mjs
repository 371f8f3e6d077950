import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runProgram } from '../command.mjs';
import { installedBinding, platformKey } from '../paths.mjs';
import { missingLibraries } from './cuda.mjs';

/**
 * Compute capabilities that the pinned wheel serves, by their major number, each with the oldest driver that does: CUDA
 * 12 needs 525.60; for 9.0 and newer the wheel holds PTX of CUDA 12.5, which the driver has to know, and 10 and 12 are
 * newer than that.
 */
const oldestDrivers = new Map([
  [6, '525.60'],
  [7, '525.60'],
  [8, '525.60'],
  [9, '555.42'],
  [10, '570.26'],
  [12, '570.26'],
]);

/**
 * The NVIDIA GPU of this machine, and whether the pinned TensorFlow can use it. Of several the first that it can use.
 * @returns {Promise<{name: string | null, usable: boolean, reason: string, remedy: string | null}>} name null: there is
 *   none; reason: a phrase that names the card and its driver, or says why it is not used; remedy: where one is known
 */
export async function findGpu() {
  const { code, output } = await runProgram(
    'nvidia-smi',
    ['--query-gpu=name,compute_cap,driver_version', '--format=csv,noheader'],
    { timeoutMs: 10_000 },
  );
  const lines = code === 0 ? output.split('\n').filter((line) => line.split(',').length === 3) : [];
  const cards = lines.map(describeGpu);
  return cards.find(({ usable }) => usable) ?? cards[0] ?? cardOfDriver();
}

/**
 * Whether the pinned TensorFlow can use a card.
 * @param {string} line name, compute capability, driver
 */
export function describeGpu(line) {
  const [name, capability, driver] = line.split(',').map((part) => part.trim());
  const major = Number(capability.split('.')[0]);
  const card = `${name} (compute capability ${capability}, driver ${driver})`;
  const unusable = (why, remedy = null) => ({ name, usable: false, reason: `${card} ${why}`, remedy });
  if (![...oldestDrivers.keys()].some((known) => major >= known))
    return unusable('is too old for the TensorFlow wheels');
  const oldest = oldestDrivers.get(major);
  if (!oldest) return unusable('is newer than the TensorFlow wheels support');
  if (isOlder(driver, oldest))
    return unusable(
      `needs driver ${oldest} or newer for CUDA 12`,
      `Install NVIDIA's driver ${oldest} or newer, then check again.`,
    );
  return { name, usable: true, reason: card, remedy: null };
}

/** Whether a version comes before another: 525.60.13 before 555.42. */
function isOlder(version, than) {
  const [own, other] = [version, than].map((text) => text.split('.').map(Number));
  const at = other.findIndex((part, i) => part !== (own[i] ?? 0));
  return at >= 0 && (own[at] ?? 0) < other[at];
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
      return {
        name,
        usable: false,
        reason: `${name} cannot be examined: nvidia-smi does not answer`,
        remedy: driverLibraries[0].remedy,
      };
  } catch {
    // No NVIDIA driver: no card.
  }
  return { name: null, usable: false, reason: 'no NVIDIA GPU found', remedy: null };
}

/**
 * The wheel that the binding loads, or null where the package's own installer brought it.
 * @returns {{kind: 'cpu' | 'gpu', library: string} | null}
 */
export function installedWheel() {
  if (!existsSync(installedBinding)) return null;
  const folder = dirname(realpathSync(installedBinding));
  const [, kind, version] = /[\\/]tfjs-binding-[^\\/]*-(cpu|gpu)-([\d.]+)-b\d+$/.exec(folder) ?? [];
  return kind ? { kind, library: join(dirname(folder), `tensorflow-${kind}-${version}`) } : null;
}

/** What TensorFlow opens of the driver itself. */
const driverLibraries = [
  {
    name: 'libnvidia-ml.so.1',
    what: "NVIDIA's management library",
    remedy:
      'It comes with the driver (Debian and Ubuntu: libnvidia-compute-*); a container gets it with NVIDIA_DRIVER_CAPABILITIES=compute,utility.',
  },
  {
    name: 'libcuda.so.1',
    what: "the driver's CUDA library",
    remedy:
      'It comes with the driver (Debian and Ubuntu: libnvidia-compute-*); a container gets it with --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility.',
  },
];

/**
 * Why TensorFlow found no device though the machine has a card that it could use.
 * @param {{kind: 'cpu' | 'gpu', library: string} | null} wheel as installedWheel gives it
 * @param {readonly string[]} log what TensorFlow printed as it looked, from its level W on
 * @param {(name: string) => Promise<boolean>} [opens] whether a library of the driver can be opened
 * @returns {Promise<{reason: string, remedy: string, repairable: boolean}>}
 */
export async function whyUnused(wheel, log, opens = canOpen) {
  if (wheel?.kind !== 'gpu') return forCpu(platformKey === 'linux-x64');
  const visible = process.env.CUDA_VISIBLE_DEVICES;
  if (visible !== undefined && !/^(\d|GPU-|MIG-)/.test(visible.trim()))
    return {
      reason: `CUDA_VISIBLE_DEVICES is "${visible}", which hides it`,
      remedy: 'Start the studio without that variable.',
      repairable: false,
    };
  const missing = missingLibraries(wheel.library);
  if (missing.length > 0)
    return {
      reason: `TensorFlow for the GPU does not find ${missing.join(', ')}`,
      remedy: 'The repair puts the CUDA libraries where TensorFlow looks for them.',
      repairable: true,
    };
  for (const { name, what, remedy } of driverLibraries)
    if (!(await opens(name)))
      return { reason: `${name}, ${what}, cannot be opened`, remedy, repairable: false };
  const said = log.map((line) => line.replace(/^[IWEF]\d{4} .*?\] /, ''));
  const start = said.find((line) => /cuInit/.test(line));
  return start
    ? {
        reason: `the driver does not start CUDA (${start})`,
        remedy: 'See whether nvidia-smi works; after an update of the driver, restart the machine.',
        repairable: false,
      }
    : {
        reason: `TensorFlow finds no device${said.length > 0 ? `: ${said.join(' ').slice(0, 300)}` : ', and does not say why'}`,
        remedy: 'See whether nvidia-smi works and other programs leave the card free; then check again.',
        repairable: false,
      };
}

function forCpu(repairable) {
  return {
    reason: 'TensorFlow here is for the CPU',
    remedy: repairable
      ? 'The repair fetches TensorFlow for the GPU (about 3.2 GB to download, 9 GB on the disk).'
      : 'The studio uses GPUs under Linux on x64; on Windows that includes WSL 2.',
    repairable,
  };
}

/** In a process of its own: what a library does as it is opened must not end this one. */
async function canOpen(name) {
  const open = 'process.dlopen({ exports: {} }, process.argv[1])';
  const { output } = await runProgram(process.execPath, ['-e', open, name], { timeoutMs: 20_000 });
  // One that opens is no module of Node, which is said otherwise.
  return !output.includes('cannot open shared object file');
}
