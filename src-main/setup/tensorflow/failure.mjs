import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repair, runtimeFolder } from '../paths.mjs';
import { say } from '../report.mjs';

const stateFile = join(runtimeFolder, 'tensorflow-state.json');
export const tryAgain = `To try again, ${repair}.`;

/** What could not be written down: a full disk must not make the same attempt begin again in this process. */
let unwritten = null;

/**
 * Why the last attempt did not reach what it was for, or null. TensorFlow can be there all the same: for the CPU
 * instead of the GPU.
 * @returns {{message: string, remedy: string} | null}
 */
export function tensorflowFailure() {
  if (!existsSync(stateFile)) return unwritten;
  try {
    return JSON.parse(readFileSync(stateFile, 'utf8'));
  } catch {
    return unwritten;
  }
}

export function recordFailure(error) {
  const failure = { message: error.message, remedy: error.remedy ?? tryAgain };
  unwritten = failure;
  const temporary = `${stateFile}.${process.pid}.partial`;
  try {
    mkdirSync(runtimeFolder, { recursive: true });
    writeFileSync(temporary, JSON.stringify(failure));
    renameSync(temporary, stateFile);
  } catch (cause) {
    say(`this is tried again at the next start: ${cause.message}`);
    rmSync(temporary, { force: true });
  }
}

export function forgetFailure() {
  unwritten = null;
  rmSync(stateFile, { force: true });
}
