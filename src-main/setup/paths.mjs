import { existsSync, readFileSync } from 'node:fs';
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

/** Whether this is a packaged application: everything but TensorFlow is there, and nothing in it can be written. */
export const isPackaged = existsSync(join(projectFolder, 'packaged.json'));

/** Where a packaged application looks for newer versions: an address; null: nowhere. */
export const updateChannel = isPackaged
  ? (JSON.parse(readFileSync(join(projectFolder, 'packaged.json'), 'utf8')).updates ?? null)
  : null;

/**
 * How a shell calls the command line of an installation; its arguments follow.
 * @param {{folder: string, isPackaged: boolean, platform: string, image: string | undefined}} installed image: the file
 *   that an AppImage runs from
 * @returns {string | null} null: an image lies somewhere else each time it runs, so that nothing can be typed
 */
export function commandCall({ folder, isPackaged, platform, image }) {
  if (!isPackaged) return 'npm run -s studio --';
  if (image) return null;
  if (platform === 'win32') return `"${folder}\\bin\\id-lora-studio-cli.cmd"`;
  const program = `${folder}/bin/id-lora-studio-cli`;
  return /^[\w./+-]+$/.test(program) ? program : `'${program.replaceAll("'", `'\\''`)}'`;
}

/** How the command line is called here. */
export const commandLine = commandCall({
  folder: projectFolder,
  isPackaged,
  platform: process.platform,
  image: process.env.APPIMAGE,
});

/** How TensorFlow is tried again. */
export const repair = isPackaged
  ? 'press Repair in the settings of the studio'
  : `run \`${commandLine} doctor --fix\``;

/** What an application brings of the runtime folder: the compiled bindings, and TensorFlow where it was put in. */
export const broughtRuntime = join(projectFolder, 'runtime');

const inPackage = join('@tensorflow', 'tfjs-node-gpu', 'lib', 'napi-v8', 'tfjs_binding.node');

/** Where set-up puts the link to the binding that it provided. */
export const bindingLink = isPackaged
  ? join(runtimeFolder, 'packaged', 'tfjs_binding.node')
  : join(modulesFolder, inPackage);

/** Folder of a binding for a kind of wheel and a version of tfjs-node-gpu; TensorFlow's libraries lie beside it. */
export const bindingFolder = (version, kind) =>
  `tfjs-binding-${version}-${kind}-${versions.tensorflow}-b${versions.bindings}`;

/**
 * The binding that is loaded: what set-up provided; in an application else what it brings, of our making or put there
 * by the package's own installer.
 */
export const installedBinding = findBinding();

function findBinding() {
  if (!isPackaged || existsSync(bindingLink)) return bindingLink;
  const kinds = ['gpu', 'cpu'].filter((kind) =>
    existsSync(join(broughtRuntime, `tensorflow-${kind}-${versions.tensorflow}`)),
  );
  const brought = kinds.map((kind) =>
    join(broughtRuntime, bindingFolder(tfjsVersion(), kind), 'tfjs_binding.node'),
  );
  return [...brought, join(modulesFolder, inPackage)].find((path) => existsSync(path)) ?? bindingLink;
}

/** Version of the package whose binding is compiled. */
export function tfjsVersion() {
  const manifest = join(modulesFolder, '@tensorflow', 'tfjs-node-gpu', 'package.json');
  return JSON.parse(readFileSync(manifest, 'utf8')).version;
}
