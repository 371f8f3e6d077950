// `npm start`: the studio in its window, or in a browser where there is no display or no Electron.
import './surroundings/nodeVersion.mjs';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './command.mjs';
import { ensureOrExit } from './ensure.mjs';
import { launch, studioEnvironment } from './launch.mjs';
import { modulesFolder, projectFolder } from './paths.mjs';
import { say } from './report.mjs';
import { answerHelp } from './usage.mjs';

answerHelp(`
npm start [-- options]   the studio in its window, or in a browser where there is no display
  --home DIR             its data folder
  --project NAME         the project that it opens
  --host HOST --port N   without a display: where it serves a browser
`);

const node = await ensureOrExit({ page: true });
const env = studioEnvironment(node);
const electron = hasDisplay() ? await electronProgram() : null;
if (electron) process.exit(await launch(electron, [projectFolder, ...process.argv.slice(2)], env));
say(
  hasDisplay()
    ? 'no Electron here: the studio opens in your browser instead'
    : 'no display here: open the address in a browser',
);
process.exit(
  await launch(node, [join(projectFolder, 'src-main', 'cli.ts'), 'serve', ...process.argv.slice(2)], env),
);

function hasDisplay() {
  return process.platform !== 'linux' || Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
}

/** Of what an installer prints the line that names the error, not the trace below it. */
function reasonOf(output) {
  const lines = output.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => /^\w*Error:/.test(line)) ??
    lines.findLast(Boolean) ??
    'no reason given'
  ).slice(0, 300);
}

/** Electron's program; its own installer is tried once for each version. */
async function electronProgram() {
  const folder = join(modulesFolder, 'electron');
  const path = () => {
    const file = join(folder, 'path.txt');
    const program = existsSync(file) ? join(folder, 'dist', readFileSync(file, 'utf8')) : '';
    return existsSync(program) && program !== '' ? program : null;
  };
  const failure = join(folder, '.studio-install-failed');
  if (path() || existsSync(failure)) return path();
  say('fetching Electron');
  const { code, output } = await runProgram(node, [join(folder, 'install.js')], { timeoutMs: 300_000 });
  if (code !== 0 || !path()) {
    say(`Electron could not be fetched: ${reasonOf(output)}`);
    try {
      writeFileSync(failure, output);
    } catch {
      // A checkout that cannot be written: it is tried at each start.
    }
  }
  return path();
}
