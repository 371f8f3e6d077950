// `npm test`: everything that runs without a GPU. Ends with the line `N passed, N failed`.
import { existsSync } from 'node:fs';
import { availableParallelism, constants, freemem, getPriority, setPriority } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../command.mjs';
import { ensureOrExit } from '../ensure.mjs';
import { studioEnvironment } from '../launch.mjs';
import { ensurePage } from '../checkout/page.mjs';
import { modulesFolder, projectFolder } from '../paths.mjs';
import { say } from '../report.mjs';
import { runVitest } from './vitest.mjs';
import { answerHelp } from '../usage.mjs';

answerHelp('npm test   everything that runs without a GPU, half an hour on two cores');

/** Places of Chromium on Linux. */
const chromiumPaths = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * A real Chromium for end-to-end tests: the machine's own, else Debian's package where this process may install it.
 * @returns {Promise<string | null>} null: the tests that need it are skipped
 */
async function provideChromium() {
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

/** Bubblewrap for the tests of generated code, from Debian's package where this process may install it. */
async function provideBubblewrap() {
  const isThere = existsSync('/usr/bin/bwrap');
  if (isThere || process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get'))
    return;
  say('installing bubblewrap for the tests of generated code');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const args = ['install', '-y', '-qq', '--no-install-recommends', 'bubblewrap'];
  const { code, output } = await runProgram('apt-get', args, { env, timeoutMs: 300_000 });
  if (code !== 0) say(`Bubblewrap could not be installed: ${output.slice(-300)}`);
}

/**
 * A real, old Electron for end-to-end tests, where the shared tools can provide it.
 * @returns {Promise<string | null>} its folder
 */
async function provideElectron() {
  const tool = join(projectFolder, '..', 'shared', 'tools', 'provision-electron');
  if (process.env.ELECTRON_DIR) return process.env.ELECTRON_DIR;
  if (!existsSync(tool)) return null;
  const { code, output } = await runProgram(tool, [], { timeoutMs: 300_000 });
  const folder = output.trim().split('\n').at(-1) ?? '';
  if (code === 0 && existsSync(join(folder, 'electron'))) return folder;
  say(`No Electron for the end-to-end tests: ${output.slice(-300)}`);
  return null;
}

process.chdir(projectFolder);
// Engines compute below normal priority: beside tests and pages of a usual one they would starve, and be waited for in
// vain. As all have the same one, they share; and whoever works at this machine is not held up.
setPriority(Math.max(getPriority(), constants.priority.PRIORITY_BELOW_NORMAL));
const node = await ensureOrExit();
const env = studioEnvironment(node);
let passed = 0;
let failed = 0;

/** One check that is a program: it counts as one test. */
async function check(name, script, args) {
  say(`checking: ${name}`);
  const startedAt = Date.now();
  const { code, output } = await runProgram(node, [join(modulesFolder, script), ...args], { env });
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(0);
  console.log(`${code === 0 ? 'ok' : 'FAILED'}  ${name} (${seconds} s)`);
  if (code === 0) passed++;
  else {
    failed++;
    console.log(output);
  }
}

async function buildPage() {
  await ensurePage(node).then(
    () => passed++,
    (error) => {
      failed++;
      console.log(error.message);
    },
  );
}

const pageTypes = ['--tsconfig', 'tsconfig.renderer.json', '--threshold', 'error'];
/** The longest first: the last to begin should not be waited for. */
const checks = [
  () => check('linter', 'eslint/bin/eslint.js', ['.']),
  () => check('formatter', 'prettier/bin/prettier.cjs', ['--check', '--log-level=warn', '.']),
  () => check('types of the page', 'svelte-check/bin/svelte-check', pageTypes),
  () => check('types of the main side', 'typescript/bin/tsc', ['-p', '.']),
  buildPage,
];

/** One check after the other, beside whoever else takes from the list. */
async function takeChecks() {
  for (let next = checks.shift(); next; next = checks.shift()) await next();
}

/** Each keeps one processor busy, and takes up to so much memory. */
const checkBytes = 2.5e9;
const freeBytes = process.availableMemory?.() ?? freemem();
const atOnce = Math.max(1, Math.min(availableParallelism(), Math.floor(freeBytes / checkBytes)));

/** What is fetched meanwhile; the two packages of Debian one after the other, as its tools want it. */
async function provideTools() {
  const electron = provideElectron();
  const chromium = await provideChromium();
  await provideBubblewrap();
  return { chromium, electron: await electron };
}

const [{ chromium, electron }] = await Promise.all([
  provideTools(),
  ...Array.from({ length: atOnce }, takeChecks),
]);
if (chromium) env.CHROMIUM_PATH = chromium;
if (electron) env.ELECTRON_DIR = electron;
say(`end-to-end tests: Chromium ${chromium ?? 'not available'}, Electron ${electron ?? 'not available'}`);

const results = await runVitest(node, [], env);
passed += results.passed;
failed += results.failed;
for (const name of results.skipped) console.log(`skipped  ${name}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
