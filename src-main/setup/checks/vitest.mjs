import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch } from '../launch.mjs';
import { modulesFolder } from '../paths.mjs';

/**
 * Runs test files with Vitest in this terminal.
 * @param {string} node
 * @param {string[]} args paths and options of `vitest run`
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{passed: number, failed: number, skipped: string[]}>} a file that cannot be loaded counts as one
 * failure
 */
export async function runVitest(node, args, env) {
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-report-'));
  const report = join(folder, 'vitest.json');
  const vitest = join(modulesFolder, 'vitest', 'vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  // TensorFlow's banner comes once per process and says nothing about the tests.
  const quiet = { ...env, TF_CPP_MIN_LOG_LEVEL: '3' };
  const code = await launch(node, [vitest, 'run', ...reporters, ...args], quiet);
  try {
    const counts = existsSync(report)
      ? countResults(JSON.parse(readFileSync(report, 'utf8')))
      : { passed: 0, failed: 1, skipped: [] };
    if (code !== 0 && counts.failed === 0) counts.failed++;
    return counts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countResults({ numPassedTests, numFailedTests, testResults }) {
  const counts = { passed: numPassedTests, failed: numFailedTests, skipped: [] };
  for (const file of testResults) {
    // A file that cannot even be loaded has no failed test of its own.
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      counts.failed++;
      console.log(`FAILED  ${file.name}: ${file.message}`);
    }
    for (const test of file.assertionResults)
      if (['skipped', 'pending', 'todo'].includes(test.status)) counts.skipped.push(test.fullName);
  }
  return counts;
}
