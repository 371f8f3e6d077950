import { join } from 'node:path';
import { endPrograms } from './command.mjs';
import { withLock } from './lock.mjs';
import { ensureNode, nodeProgram } from './checkout/node24.mjs';
import { ensurePackages, packagesReady } from './checkout/packages.mjs';
import { ensurePage } from './checkout/page.mjs';
import { explained } from './surroundings/obstacles.mjs';
import { projectFolder, runtimeFolder } from './paths.mjs';
import { say, SetupError } from './report.mjs';
import { tensorflowFailure } from './tensorflow/failure.mjs';
import { ensureTensorflow, tensorflowCurrent } from './tensorflow/tensorflow.mjs';

const runtimeReady = () => nodeProgram() && (tensorflowCurrent() || tensorflowFailure());

/**
 * Provides everything the studio needs on this machine: npm packages (better-sqlite3 brings its binary), Node 24,
 * TensorFlow. What is there is not looked at twice; an interrupted set-up goes on where it was.
 * @returns {Promise<string>} the Node that runs the studio
 */
export async function ensureAll() {
  if (!packagesReady() || !runtimeReady()) {
    const startedAt = Date.now();
    // npm packages belong to the checkout, the rest to the user: one lock for each, and none where nothing is written.
    if (!packagesReady()) await withLock(join(projectFolder, '.setup.lock'), ensurePackages);
    if (!runtimeReady())
      await withLock(join(runtimeFolder, '.setup.lock'), async () => {
        await ensureNode();
        await ensureTensorflow();
      });
    say(`ready after ${Math.round((Date.now() - startedAt) / 1000)} s`);
  }
  return nodeProgram();
}

/**
 * Like ensureAll, for command-line entries: a failure is printed with its remedy and ends the process.
 * @param {{page?: boolean}} [needs] page: the built page, too
 */
export async function ensureOrExit({ page = false } = {}) {
  const end = (_name, number) => {
    endPrograms();
    process.exit(128 + number);
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) process.on(signal, end);
  try {
    const node = await ensureAll();
    if (page) await ensurePage(node);
    return node;
  } catch (cause) {
    const error = explained(cause);
    say(error.message);
    say(error instanceof SetupError ? error.remedy : (error.stack ?? ''));
    process.exit(1);
  } finally {
    for (const signal of signals) process.off(signal, end);
  }
}
