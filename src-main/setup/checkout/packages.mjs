import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { runNpm } from '../command.mjs';
import { isFull, obstacleIn, otherCheckout, requireSpace } from '../surroundings/obstacles.mjs';
import { modulesFolder, projectFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';

/** What they take on the disk. */
const packagesBytes = 700e6;

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

/**
 * Why npm failed, with a way on.
 * @param {string} what "The npm packages could not be installed"
 * @param {string} folder where it installed
 * @param {string} [elsewhere] where else that could be (obstacleIn)
 */
export function npmFailure(what, code, output, folder, elsewhere = otherCheckout) {
  if (code === 127)
    return new SetupError(
      `${what}: there is no npm on the PATH.`,
      'Install Node 20 or newer with npm (Debian and Ubuntu: apt install npm), and start again.',
    );
  const step = { what, folder, source: 'the npm registry', elsewhere };
  // Where its cache has no room, npm has none for the reason either.
  const known = obstacleIn(output, step) ?? (isFull(homedir()) ? obstacleIn('ENOSPC', step) : null);
  return (
    known ??
    new SetupError(`${what}. npm says:\n${output.trim()}`, 'See what npm says above, and start again.')
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
  requireSpace(projectFolder, packagesBytes, 'The npm packages', otherCheckout);
  say('installing the npm packages');
  const args = ['ci', '--ignore-scripts'];
  const { code, output } = await runNpm(args, 'installing the npm packages', { cwd: projectFolder });
  if (code !== 0) throw npmFailure('The npm packages could not be installed', code, output, projectFolder);
  writeFileSync(marker, lockfileHash());
}
