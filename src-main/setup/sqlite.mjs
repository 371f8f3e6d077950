import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compile } from './compiler.mjs';
import { modulesFolder, platformKey, runtimeFolder, versions } from './paths.mjs';
import { nodeProgram } from './node24.mjs';

const packageFolder = join(modulesFolder, 'better-sqlite3');
const installed = join(packageFolder, 'build', 'Release', 'better_sqlite3.node');

export function sqliteReady() {
  return existsSync(installed);
}

/** Puts better-sqlite3's binary in place: compiled from the package's sources, once for all checkouts of a user. */
export async function ensureSqlite() {
  if (sqliteReady()) return;
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
  const cached = join(
    runtimeFolder,
    `better-sqlite3-${version}-${platformKey}-b${versions.bindings}`,
    'better_sqlite3.node',
  );
  if (!existsSync(cached)) await build(cached);
  mkdirSync(dirname(installed), { recursive: true });
  copyFileSync(cached, `${installed}.${process.pid}`);
  renameSync(`${installed}.${process.pid}`, installed);
}

async function build(target) {
  const sqlite = join(packageFolder, 'deps', 'sqlite3');
  // The package's own compile options, one per quoted word of its defines file.
  const defines = [
    ...readFileSync(join(packageFolder, 'deps', 'defines.gypi'), 'utf8').matchAll(
      /'([A-Z0-9_]+(?:=[^']*)?)'/g,
    ),
  ].map(([, define]) => `-D${define}`);
  mkdirSync(dirname(target), { recursive: true });
  const object = `${target}.${process.pid}.sqlite.o`;
  const library = `${target}.${process.pid}.partial`;
  await compile(
    'SQLite',
    ['-x', 'c', '-O2', '-fPIC', '-w', '-DNDEBUG', ...defines, '-c', join(sqlite, 'sqlite3.c'), '-o', object],
    45,
  );
  const includes = [
    join(dirname(dirname(nodeProgram())), 'include', 'node'),
    join(modulesFolder, 'node-addon-api'),
    sqlite,
    join(packageFolder, 'src'),
  ].map((folder) => `-I${folder}`);
  const platform = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : ['-Wl,-Bsymbolic'];
  await compile(
    'the SQLite binding',
    [
      '-std=c++20',
      '-O2',
      '-fPIC',
      '-shared',
      '-w',
      '-DNDEBUG',
      '-DNODE_GYP_MODULE_NAME=better_sqlite3',
      '-DBUILDING_NODE_EXTENSION',
      '-DNAPI_DISABLE_CPP_EXCEPTIONS',
      ...includes,
      join(packageFolder, 'src', 'better_sqlite3.cpp'),
      object,
      ...platform,
      '-o',
      library,
    ],
    20,
  );
  renameSync(library, target);
}
