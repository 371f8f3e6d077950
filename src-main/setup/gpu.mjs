import { runProgram } from './command.mjs';

/**
 * The NVIDIA GPU that the pinned TensorFlow can use.
 * @returns {Promise<{usable: boolean, reason: string}>} `reason` names the card, or says why it is not used
 */
export async function findGpu() {
  const { code, output } = await runProgram(
    'nvidia-smi',
    ['--query-gpu=name,compute_cap,driver_version', '--format=csv,noheader'],
    { timeoutMs: 10_000 },
  );
  const line = code === 0 ? output.trim().split('\n')[0] : '';
  if (!line) return { usable: false, reason: 'no NVIDIA GPU found' };
  const [name, capability] = line.split(',').map((part) => part.trim());
  const major = Number(capability?.split('.')[0]);
  if (major >= 10)
    return {
      usable: false,
      reason: `${name} (compute capability ${capability}) is newer than the TensorFlow wheels support; the CPU is used`,
    };
  if (major < 6)
    return {
      usable: false,
      reason: `${name} (compute capability ${capability}) is too old; the CPU is used`,
    };
  return { usable: true, reason: name };
}
