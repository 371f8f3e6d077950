// `npm run parity`: checks the engine against PyTorch, transformers and PEFT, computed a moment ago, and has them read
// what it exports. `npm run parity -- --record` writes the reference values into the checkout instead. Ends with the
// line `N passed, N failed`.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runProgram } from '../command.mjs';
import { ensureOrExit } from '../ensure.mjs';
import { studioEnvironment } from '../launch.mjs';
import { ensureParityPython } from './parityPython.mjs';
import { projectFolder } from '../paths.mjs';
import { say, SetupError } from '../report.mjs';
import { runVitest } from './vitest.mjs';
import { answerHelp } from '../usage.mjs';

answerHelp(`
npm run parity                checks the engine against PyTorch, transformers and PEFT, which it installs by pip
npm run parity -- --record    writes the reference values into the checkout instead
`);

process.chdir(projectFolder);
const generator = join(projectFolder, 'tests', 'parity', 'generator');
const committed = {
  fixtures: join(projectFolder, 'tests', 'fixtures'),
  recorded: join(projectFolder, 'tests', 'parity', 'recorded'),
};

/** Tests that compare with what the generator recorded. */
const against = [
  'tests/parity',
  'tests/engine/adapters/assignment',
  'tests/engine/adapters/pivots',
  'tests/engine/training/optimizers/blockwiseQuantization',
  'tests/engine/training/schedule',
  'tests/services/exports/certificate',
];

/** Runs the generator; a line is shown at each tenth of the way. */
function runGenerator(python, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(python, ['-W', 'ignore', generator, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let errors = '';
    let shown = 0;
    child.stderr.on('data', (chunk) => (errors = (errors + chunk).slice(-4000)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const step = /^(\d+) of (\d+): /.exec(line);
      const tenth = step ? Math.floor((10 * step[1]) / step[2]) : shown + 1;
      if (tenth > shown) say(line);
      shown = step ? tenth : shown;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0
        ? resolve()
        : reject(
            new SetupError(`The generator of reference values failed:\n${errors}`, 'See the lines above.'),
          ),
    );
  });
}

/** One line for each kind of measurement: how many, the greatest error, its bound and where it was. */
function summarize(report) {
  const kinds = new Map();
  for (const line of readFileSync(report, 'utf8').trim().split('\n')) {
    const found = JSON.parse(line);
    const kind = kinds.get(found.measure) ?? { count: 0, worst: found };
    kind.count++;
    // An error that is no number was written as null, and is the worst there is.
    if (found.error === null || (kind.worst.error !== null && found.error > kind.worst.error))
      kind.worst = found;
    kinds.set(found.measure, kind);
  }
  for (const [measure, { count, worst }] of kinds)
    console.log(
      `${measure}: ${count} compared, greatest error ${worst.error?.toExponential(2) ?? 'not finite'} (bound ${worst.bound}) in ${worst.name}`,
    );
}

/** The Python package's own tests, which count as one. */
async function testPackage(python) {
  say('testing the Python package');
  const folder = join(projectFolder, 'resources', 'python');
  const env = { ...process.env, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' };
  const args = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', join(folder, 'tests')];
  const { code, output } = await runProgram(python, args, { env });
  console.log(code === 0 ? output.trim().split('\n').at(-1) : output);
  return code === 0;
}

async function main() {
  const node = await ensureOrExit();
  const python = await ensureParityPython();
  if (process.argv.includes('--record')) {
    await runGenerator(python, ['record', committed.fixtures, committed.recorded]);
    const handed = [join(generator, 'handed.ts'), python, committed.recorded];
    const { code, output } = await runProgram(node, handed, { env: studioEnvironment(node) });
    if (code !== 0)
      throw new SetupError(`What is handed over could not be recorded:\n${output}`, 'See above.');
    say('reference values are written; `git diff --stat` shows what changed');
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'id-lora-parity-'));
  try {
    const live = { fixtures: join(folder, 'fixtures'), recorded: join(folder, 'recorded') };
    say('computing reference values with PyTorch, transformers and PEFT');
    await runGenerator(python, ['record', live.fixtures, live.recorded]);
    const report = join(folder, 'measurements.jsonl');
    const env = {
      ...studioEnvironment(node),
      ID_LORA_PARITY_FOLDER: folder,
      ID_LORA_PARITY_REPORT: report,
      ID_LORA_PARITY_PYTHON: python,
    };
    const { passed, failed, skipped } = await runVitest(node, against, env);
    for (const name of skipped) console.log(`skipped  ${name}`);
    summarize(report);
    const isPackageSound = await testPackage(python);
    console.log(`${passed + (isPackageSound ? 1 : 0)} passed, ${failed + (isPackageSound ? 0 : 1)} failed`);
    return failed === 0 && isPackageSound ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error.message);
  say(error instanceof SetupError ? error.remedy : (error.stack ?? ''));
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
