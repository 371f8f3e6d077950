// `npm run package -- --linux dir`: an application of the studio, by electron-builder, whose options follow.
// `--preinstalled`: with TensorFlow inside, for machines without a connection.
import './surroundings/nodeVersion.mjs';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runNpm } from './command.mjs';
import { ensureOrExit } from './ensure.mjs';
import { launch, studioEnvironment } from './launch.mjs';
import { builderConfig, publishing, updateFolder } from './package/builderConfig.mjs';
import { stageApplication } from './package/stage.mjs';
import { npmFailure } from './checkout/packages.mjs';
import { projectFolder } from './paths.mjs';
import { say } from './report.mjs';
import { answerHelp } from './usage.mjs';

answerHelp(`
npm run package -- --linux dir            an application as a folder: dist/packages
npm run package -- --linux AppImage deb   as files to install; --win nsis and --mac dmg on their own systems
  --preinstalled                          with TensorFlow inside, for machines without a connection
  all else is electron-builder's: --arm64, --publish=always, ...
ELECTRON_DIR=FOLDER                       an Electron that is there already
ID_LORA_STUDIO_UPDATES=https://HOST/FOLDER/   where its user may look for newer versions (docs/packaging.md)
`);

const dist = join(projectFolder, 'dist');
/** Where the builder's packages are installed. */
const builder = join(dist, 'builder');

/** The builder has its own locked packages: whoever only uses the studio should not fetch them. */
async function ensureBuilder() {
  const locked = join(projectFolder, 'src-main', 'setup', 'package', 'builder');
  const lock = readFileSync(join(locked, 'package-lock.json'));
  const marker = join(builder, 'node_modules', '.package-lock.used');
  if (existsSync(marker) && readFileSync(marker).equals(lock)) return;
  say('installing electron-builder');
  cpSync(locked, builder, { recursive: true });
  const { code, output } = await runNpm(['ci', '--ignore-scripts'], 'installing electron-builder', {
    cwd: builder,
  });
  if (code !== 0) throw npmFailure('electron-builder could not be installed', code, output, builder);
  writeFileSync(marker, lock);
}

const args = process.argv.slice(2);
const preinstalled = args.includes('--preinstalled');
const node = await ensureOrExit({ page: true });
try {
  // What is wrong with the address is said before the work.
  const manifest = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8'));
  const updates = updateFolder(publishing(manifest, process.env));
  await ensureBuilder();
  const staged = join(dist, 'staged');
  rmSync(staged, { recursive: true, force: true });
  await stageApplication(staged, node, { preinstalled, updates });
  const config = join(dist, 'builder.json');
  writeFileSync(config, JSON.stringify(builderConfig(manifest, staged, process.env), null, 2));
  const program = join(builder, 'node_modules', 'electron-builder', 'cli.js');
  const given = args.filter((arg) => arg !== '--preinstalled');
  const all = [program, ...given, `--config=${config}`, `--projectDir=${join(staged, 'app')}`];
  if (!given.some((arg) => arg.startsWith('--publish'))) all.push('--publish=never');
  process.exitCode = await launch(node, all, studioEnvironment(node));
} catch (error) {
  say(error.message);
  say(error.remedy ?? error.stack);
  process.exitCode = 1;
}
