// `npm test`: everything that runs without a GPU. Ends with the line `N passed, N failed`.
import { join } from 'node:path';
import { provideChromium, provideElectron } from './browsers.mjs';
import { runProgram } from '../command.mjs';
import { ensureOrExit } from '../ensure.mjs';
import { studioEnvironment } from '../launch.mjs';
import { ensurePage } from '../checkout/page.mjs';
import { modulesFolder, projectFolder } from '../paths.mjs';
import { say } from '../report.mjs';
import { runVitest } from './vitest.mjs';

process.chdir(projectFolder);
const node = await ensureOrExit();
const env = studioEnvironment(node);
let passed = 0;
let failed = 0;

/** One check that is a program: it counts as one test. */
async function check(name, script, args) {
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

await ensurePage(node).then(
  () => passed++,
  (error) => {
    failed++;
    console.log(error.message);
  },
);
await check('linter', 'eslint/bin/eslint.js', ['.']);
await check('formatter', 'prettier/bin/prettier.cjs', ['--check', '--log-level=warn', '.']);
await check('types of the main side', 'typescript/bin/tsc', ['-p', '.']);
await check('types of the page', 'svelte-check/bin/svelte-check', [
  '--tsconfig',
  'tsconfig.renderer.json',
  '--threshold',
  'error',
]);

const chromium = await provideChromium();
const electron = await provideElectron();
if (chromium) env.CHROMIUM_PATH = chromium;
if (electron) env.ELECTRON_DIR = electron;
say(`end-to-end tests: Chromium ${chromium ?? 'not available'}, Electron ${electron ?? 'not available'}`);

const results = await runVitest(node, [], env);
passed += results.passed;
failed += results.failed;
for (const name of results.skipped) console.log(`skipped  ${name}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
