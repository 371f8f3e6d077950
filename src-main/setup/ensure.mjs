import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { ensureNode, nodeProgram } from './checkout/node24.mjs';
import { ensurePackages, packagesReady } from './checkout/packages.mjs';
import { projectFolder, runtimeFolder } from './paths.mjs';
import { say, SetupError } from './report.mjs';
import { ensureTensorflow, tensorflowCurrent, tensorflowFailure } from './tensorflow/tensorflow.mjs';

function ready() {
  return packagesReady() && nodeProgram() && (tensorflowCurrent() || tensorflowFailure());
}

/**
 * Provides everything the studio needs on this machine: npm packages (better-sqlite3 brings its binary), Node 24,
 * TensorFlow. What is there is not looked at twice; an interrupted set-up goes on where it was.
 * @returns {Promise<string>} the Node that runs the studio
 */
export async function ensureAll() {
  if (!ready()) {
    const startedAt = Date.now();
    // npm packages belong to the checkout, the rest to the user: one lock for each.
    await withLock(join(projectFolder, '.setup.lock'), ensurePackages);
    await withLock(join(runtimeFolder, '.setup.lock'), async () => {
      await ensureNode();
      await ensureTensorflow();
    });
    say(`ready after ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }
  return nodeProgram();
}

/** Like ensureAll, for command-line entries: a failure is printed with its remedy and ends the process. */
export async function ensureOrExit() {
  try {
    return await ensureAll();
  } catch (error) {
    say(error.message);
    say(error instanceof SetupError ? error.remedy : (error.stack ?? ''));
    process.exit(1);
  }
}
