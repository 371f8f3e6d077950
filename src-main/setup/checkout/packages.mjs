import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runNpm } from '../command.mjs';
import { modulesFolder, projectFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';

const marker = join(modulesFolder, '.studio-lockfile-hash');

function lockfileHash() {
  return createHash('sha256')
    .update(readFileSync(join(projectFolder, 'package-lock.json')))
    .digest('hex');
}

/**
 * `npm ci` empties node_modules before it installs, and follows a link to do so: it would empty the modules of another
 * checkout.
 * @throws SetupError where the folder is a symbolic link
 */
function refuseLink(folder) {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) return;
  const target = existsSync(folder) ? realpathSync(folder) : 'a folder that is not there';
  throw new SetupError(
    `${folder} is a link to ${target}: installing would empty what it points to.`,
    'Remove the link to install modules for this checkout alone, or run npm ci in the checkout to which it leads.',
  );
}

/** Whether node_modules holds what package-lock.json says. */
export function packagesReady() {
  return existsSync(marker) && readFileSync(marker, 'utf8') === lockfileHash();
}

/**
 * Installs the npm packages without their install scripts: those of Electron and tfjs-node-gpu download binaries, and
 * must not be able to break the set-up.
 */
export async function ensurePackages() {
  if (packagesReady()) return;
  refuseLink(modulesFolder);
  say('installing the npm packages');
  const { code, output } = await runNpm(['ci', '--ignore-scripts'], { cwd: projectFolder });
  if (code !== 0)
    throw new SetupError(
      `npm ci failed:\n${output}`,
      'Check the connection to the npm registry and try again.',
    );
  writeFileSync(marker, lockfileHash());
}
