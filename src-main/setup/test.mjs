// `npm test`: everything that runs without a GPU. Ends with the line `N passed, N failed`.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provideChromium, provideElectron } from './browsers.mjs';
import { runProgram } from './command.mjs';
import { ensureOrExit } from './ensure.mjs';
import { launch, studioEnvironment } from './launch.mjs';
import { ensurePage } from './page.mjs';
import { modulesFolder, projectFolder } from './paths.mjs';
import { say } from './report.mjs';

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

const report = join(mkdtempSync(join(tmpdir(), 'id-lora-report-')), 'vitest.json');
const vitest = join(modulesFolder, 'vitest', 'vitest.mjs');
// TensorFlow's banner comes once per process and says nothing about the tests.
env.TF_CPP_MIN_LOG_LEVEL = '3';
env.TF_ENABLE_ONEDNN_OPTS ??= '1';
const code = await launch(
  node,
  [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  env,
);
if (existsSync(report)) {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  passed += numPassedTests;
  failed += numFailedTests;
  for (const file of testResults) {
    // A file that cannot even be loaded has no failed test of its own.
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      failed++;
      console.log(`FAILED  ${file.name}: ${file.message}`);
    }
    for (const test of file.assertionResults)
      if (['skipped', 'pending', 'todo'].includes(test.status)) console.log(`skipped  ${test.fullName}`);
  }
} else failed++;
if (code !== 0 && failed === 0) failed++;
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
