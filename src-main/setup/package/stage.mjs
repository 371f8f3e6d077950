import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';
import {
  bindingFolder,
  modulesFolder,
  platformKey,
  projectFolder,
  runtimeFolder,
  tfjsVersion,
  versions,
} from '../paths.mjs';
import { say, SetupError } from '../report.mjs';
import { buildBinding } from '../tensorflow/binding.mjs';
import { wheelFor } from '../tensorflow/wheel.mjs';

/** What of src-main an application never runs: how it is made and checked, and how the starter model was made. */
const unused = ['setup/checks', 'setup/package', 'setup/package.mjs', 'starter'];

/** Files of packages that only serve who builds with them, by how their path ends or what it goes through. */
const superfluous = [
  /\.(map|d\.ts|d\.mts|d\.cts|tsbuildinfo)$/,
  /\/(README|CHANGELOG|HISTORY)(\.md)?$/i,
  // Bundles of tfjs for browsers; Node loads the files named *.node.js.
  /@tensorflow\/[\w-]+\/dist\/tf[\w-]*\.(es2017|fesm|min|esm)[\w.]*\.?js$/,
  /@tensorflow\/[\w-]+\/dist\/tf[\w-]*\.(js|es2017\.js)$/,
  /@tensorflow\/tfjs-node-gpu\/(binding|scripts|node_modules\/\.bin)\//,
  /better-sqlite3\/(deps|src)\//,
];

/**
 * Fills a folder with what electron-builder packs: `app`, the built shell and page, and `studio`, what Node runs:
 * sources as they are, the packages that they need, Node itself, and the compiled binding of TensorFlow.
 * @param {string} target
 * @param {string} node the Node that runs the studio
 * @param {{preinstalled: boolean, updates: string | null}} options preinstalled: with TensorFlow inside; updates: where
 *   it looks for newer versions
 */
export async function stageApplication(target, node, { preinstalled, updates }) {
  const manifest = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8'));
  say('gathering what goes into the application');
  stageShell(join(target, 'app'), manifest);
  const studio = join(target, 'studio');
  mkdirSync(studio, { recursive: true });
  for (const name of ['package.json', 'LICENSE', 'resources', join('out', 'renderer')])
    cpSync(join(projectFolder, name), join(studio, name), { recursive: true });
  const sources = join(projectFolder, 'src-main');
  cpSync(sources, join(studio, 'src-main'), {
    recursive: true,
    filter: (path) => !unused.includes(slashed(relative(sources, path))),
  });
  stagePackages(join(studio, 'node_modules'));
  const program = stageNode(join(studio, 'node'), node);
  writeFileSync(
    join(studio, 'packaged.json'),
    JSON.stringify({
      platform: platformKey,
      node: slashed(relative(studio, program)),
      ...(updates !== null && { updates }),
    }),
  );
  stageCommand(studio, program);
  await stageTensorflow(join(studio, 'runtime'), preinstalled);
}

const slashed = (path) => path.replaceAll(sep, '/');

function stageShell(app, { name, version, description, license, homepage }) {
  mkdirSync(app, { recursive: true });
  for (const part of ['main', 'preload', 'renderer'])
    cpSync(join(projectFolder, 'out', part), join(app, 'out', part), { recursive: true });
  // No packages: they are built in.
  const own = {
    name,
    version,
    description,
    license,
    homepage,
    author: 'ID-LoRA Studio',
    main: 'out/main/main.cjs',
  };
  writeFileSync(join(app, 'package.json'), JSON.stringify(own, null, 2));
}

/** The packages that the lockfile needs at run time, without what only serves others. */
function stagePackages(modules) {
  const lock = JSON.parse(readFileSync(join(projectFolder, 'package-lock.json'), 'utf8'));
  const needed = Object.entries(lock.packages).filter(
    ([path, { dev, devOptional }]) =>
      path !== '' && !dev && !devOptional && !path.includes('node_modules/@types/'),
  );
  for (const [path] of needed) {
    const from = join(projectFolder, path);
    if (!existsSync(from)) continue;
    cpSync(from, join(modules, relative('node_modules', path)), {
      recursive: true,
      filter: (file) => isKept(slashed(relative(modulesFolder, file)), from, file),
    });
  }
}

function isKept(path, packageFolder, file) {
  // Packages inside it have their own lines in the lockfile; its bindings are links into this user's folder.
  const inner = slashed(relative(packageFolder, file));
  if (inner === 'node_modules' || (path.startsWith('@tensorflow/tfjs-node-gpu/lib') && wheelFor('cpu')))
    return false;
  const prebuilt = /better-sqlite3\/prebuilds\/(.+)\.node$/.exec(path)?.[1];
  if (prebuilt && prebuilt !== platformKey) return false;
  return !superfluous.some((pattern) => pattern.test(path));
}

function stageNode(folder, node) {
  mkdirSync(folder, { recursive: true });
  const program = join(folder, basename(node));
  cpSync(node, program, { dereference: true });
  chmodSync(program, 0o755);
  const license = [dirname(node), dirname(dirname(node))]
    .map((place) => join(place, 'LICENSE'))
    .find((path) => existsSync(path));
  if (license) cpSync(license, join(folder, 'LICENSE'));
  return program;
}

/** The command line of the application. */
function stageCommand(studio, program) {
  const bin = join(studio, 'bin');
  mkdirSync(bin);
  const node = slashed(relative(studio, program));
  const posix = `#!/bin/sh
studio=$(dirname "$(dirname "$(readlink -f "$0" || echo "$0")")")
exec "$studio/${node}" "$studio/src-main/cli.ts" "$@"
`;
  writeFileSync(join(bin, 'id-lora-studio-cli'), posix, { mode: 0o755 });
  if (process.platform === 'win32')
    writeFileSync(
      join(bin, 'id-lora-studio-cli.cmd'),
      `@"%~dp0..\\${node.replaceAll('/', '\\')}" "%~dp0..\\src-main\\cli.ts" %*\r\n`,
    );
}

/**
 * The binding, which needs a compiler here and none where the application runs, and TensorFlow itself where it is asked
 * for. Where there is no wheel the package's own installer has put both among the packages.
 */
async function stageTensorflow(runtime, preinstalled) {
  if (!wheelFor('cpu')) return;
  const library = ['cpu', 'gpu']
    .map((kind) => `tensorflow-${kind}-${versions.tensorflow}`)
    .find((name) => existsSync(join(runtimeFolder, name)));
  if (!library)
    throw new SetupError(
      `There is no TensorFlow in ${runtimeFolder}: its binding cannot be compiled.`,
      'Run `npm run -s studio -- doctor --fix`, then package again.',
    );
  const source = join(runtimeFolder, library);
  for (const kind of ['cpu', 'gpu'].filter((kind) => wheelFor(kind))) {
    const name = bindingFolder(tfjsVersion(), kind);
    // Compiled once: its name says what of.
    const binding = join(projectFolder, 'dist', 'bindings', name, 'tfjs_binding.node');
    if (!existsSync(binding))
      await buildBinding(source, binding, `tensorflow-${kind}-${versions.tensorflow}`);
    cpSync(binding, join(runtime, name, 'tfjs_binding.node'));
  }
  if (preinstalled)
    cpSync(source, join(runtime, library), {
      recursive: true,
      // Headers serve the compiler only.
      filter: (path) => basename(path) !== 'include',
    });
}
