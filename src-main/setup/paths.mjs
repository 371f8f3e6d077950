import { homedir, userInfo } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const projectFolder = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Without HOME, as some services run, what the system knows of the user. */
const home = homedir() || userInfo().homedir;

/** What set-up provides for all checkouts of this user: Node, TensorFlow, compiled bindings. */
export const runtimeFolder = resolve(
  // An empty variable is none, and a path from here would be another one from elsewhere.
  process.env.ID_LORA_STUDIO_RUNTIME ||
    (process.platform === 'win32'
      ? join(process.env.LOCALAPPDATA || join(home, 'AppData', 'Local'), 'id-lora-studio', 'runtime')
      : join(process.env.XDG_CACHE_HOME || join(home, '.cache'), 'id-lora-studio', 'runtime')),
);

export const platformKey = `${process.platform}-${process.arch}`;

/** Pinned versions of what npm's lockfile does not cover. */
export const versions = {
  node: '24.21.0',
  tensorflow: '2.21.0',
  /** Raised when the way of compiling the bindings changes. */
  bindings: '2',
};

export const modulesFolder = join(projectFolder, 'node_modules');

/** Where tfjs-node-gpu looks for its binding: a link to that of the runtime folder, or what its own installer put. */
export const installedBinding = join(
  modulesFolder,
  '@tensorflow',
  'tfjs-node-gpu',
  'lib',
  'napi-v8',
  'tfjs_binding.node',
);
