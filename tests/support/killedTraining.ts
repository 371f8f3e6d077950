import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../../src-main/contract/entities.ts';
import { listCheckpoints } from '../../src-main/formats/checkpoint/checkpointFolder.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { openReadable } from '../../src-main/store/database.ts';
import { findRun } from '../../src-main/store/runs.ts';
import { fixtures, projectFolder } from './paths.ts';
import { temporaryFolder } from './temporaryFolder.ts';
import { checkpointFiles } from './trainingRun.ts';

const steps = 40;

/** Trains a small run on the command line, kills all of its processes some time later, or lets it end. */
function train(home: string, args: readonly string[], killAfterMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own: the core and its engine are killed together.
    const child = spawn(
      process.execPath,
      [join(projectFolder, 'src-main', 'cli.ts'), 'train', ...args, '--home', home, '--json'],
      { detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (part: string) => (said += part));
    const timer =
      killAfterMs === Infinity
        ? undefined
        : setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), killAfterMs);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 || code === null) resolve(said);
      else reject(new Error(`train ${args.join(' ')} ended with ${code}: ${said.slice(-2000)}`));
    });
  });
}

function stored(home: string): Run | null {
  const path = join(home, 'studio.db');
  if (!existsSync(path)) return null;
  const database = openReadable(path);
  try {
    return findRun(database, 'default', 'r');
  } finally {
    database.readable.close();
  }
}

/**
 * Trains the same run twice, once in one go and once with so many kills of all its processes at random moments, each
 * followed at once by a resume. @returns what is left of both
 */
export async function trainWithKills(kills: number, seed: number) {
  const random = createRandom(seed);
  const dataFile = join(temporaryFolder(), 'sums.jsonl');
  writeGeneratedDataset(dataFile, 60, 1);
  const options = { method: 'idlora', rank: 4, clusters: 2, dropout: 0.1, batch: 2, context: 64, seed: 3 };
  const begin = [
    ...['--name', 'r', '--model', join(fixtures, 'tiny-llama'), '--data', dataFile],
    ...['--max-steps', String(steps), '--checkpoint-every', '5', '--eval-every', '7', '--held-out', '0.2'],
    ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
  ];
  const [whole, killed] = [temporaryFolder(), temporaryFolder()];
  const startedAt = performance.now();
  await train(whole, begin, Infinity);
  const wholeMs = performance.now() - startedAt;
  for (let i = 0; i < kills && stored(killed)?.state !== 'done'; i++)
    await train(killed, stored(killed) ? ['--resume', 'r'] : begin, random.next() * wholeMs);
  if (stored(killed)?.state !== 'done')
    await train(killed, stored(killed) ? ['--resume', 'r'] : begin, Infinity);
  const [first, second] = [whole, killed].map((home) => {
    const run = stored(home)!;
    const folder = join(home, 'runs', run.id, 'checkpoints');
    return { state: run.state, step: run.step, checkpoint: checkpointFiles(listCheckpoints(folder).at(-1)!) };
  });
  return { whole: first!, killed: second! };
}
