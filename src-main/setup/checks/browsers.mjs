import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';
import { projectFolder } from '../paths.mjs';
import { say } from '../report.mjs';

/** Places of Chromium on Linux. */
const chromiumPaths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * A real Chromium for end-to-end tests: the machine's own, else Debian's package where this process may install it.
 * @returns {Promise<string | null>} null: the tests that need it are skipped
 */
export async function provideChromium() {
  const find = () =>
    [process.env.CHROMIUM_PATH, ...chromiumPaths].find((path) => path && existsSync(path)) ?? null;
  if (find() || process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get'))
    return find();
  say('installing Chromium for the end-to-end tests');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await runProgram('apt-get', ['update', '-qq'], { env, timeoutMs: 120_000 });
  const { code, output } = await runProgram(
    'apt-get',
    ['install', '-y', '-qq', '--no-install-recommends', 'chromium'],
    {
      env,
      timeoutMs: 300_000,
    },
  );
  if (code !== 0) say(`Chromium could not be installed: ${output.slice(-300)}`);
  return find();
}

/**
 * A real, old Electron for end-to-end tests, where the shared tools can provide it.
 * @returns {Promise<string | null>} its folder
 */
export async function provideElectron() {
  const tool = join(projectFolder, '..', 'shared', 'tools', 'provision-electron');
  if (process.env.ELECTRON_DIR) return process.env.ELECTRON_DIR;
  if (!existsSync(tool)) return null;
  const { code, output } = await runProgram(tool, [], { timeoutMs: 300_000 });
  const folder = output.trim().split('\n').at(-1) ?? '';
  if (code === 0 && existsSync(join(folder, 'electron'))) return folder;
  say(`No Electron for the end-to-end tests: ${output.slice(-300)}`);
  return null;
}
