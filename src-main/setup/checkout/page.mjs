import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';
import { obstacleIn, otherCheckout } from '../surroundings/obstacles.mjs';
import { studioEnvironment } from '../launch.mjs';
import { modulesFolder, projectFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';

/** What the page and the shell are built from (tests/structure): a change elsewhere builds nothing anew. */
export const pageSources = [
  'src-renderer',
  'src-main/contract',
  'src-main/channel',
  'src-main/methods',
  'src-main/statistics',
  'src-main/shape',
  'src-main/options',
  'src-main/budget',
  'src-main/formats/families',
  'src-main/engine/process/readLines.ts',
  'src-main/shell',
  'electron.vite.config.ts',
  'package-lock.json',
];
const marker = join(projectFolder, 'out', '.source-hash');

function sourceHash() {
  const hash = createHash('sha256');
  const add = (path) => {
    const full = join(projectFolder, path);
    for (const entry of readdirSync(full, { withFileTypes: true }).sort((a, b) =>
      a.name < b.name ? -1 : 1,
    )) {
      const inner = `${path}/${entry.name}`;
      if (entry.isDirectory()) add(inner);
      else hash.update(inner).update(readFileSync(join(projectFolder, inner)));
    }
  };
  for (const path of pageSources)
    if (path.includes('.')) hash.update(readFileSync(join(projectFolder, path)));
    else add(path);
  return hash.digest('hex');
}

/** Builds the page and the Electron shell into out/ unless they are built from these very sources. */
export async function ensurePage(node) {
  const wanted = sourceHash();
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return;
  say('building the page');
  const program = join(modulesFolder, 'electron-vite', 'bin', 'electron-vite.js');
  const { code, output } = await runProgram(node, [program, 'build'], {
    cwd: projectFolder,
    env: studioEnvironment(node),
  });
  if (code !== 0) {
    const what = 'The page could not be built';
    const step = { what, folder: projectFolder, source: '', elsewhere: otherCheckout };
    throw (
      obstacleIn(output, step) ?? new SetupError(`${what}:\n${output}`, 'Report this with the output above.')
    );
  }
  mkdirSync(join(projectFolder, 'out'), { recursive: true });
  writeFileSync(marker, wanted);
}
