import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Method, TrainConfigInput } from '../../../src-main/contract/training.ts';
import { projectFolder } from '../../support/paths.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { lossesOf, trainTiny } from '../../support/trainingRun.ts';

const configOf = (method: Method, precision: 'f32' | 'bf16'): TrainConfigInput => ({
  adapter: { method, rank: 4, alpha: 8, dropout: 0.2, clusters: 2 },
  learningRate: 1e-2,
  maxSteps: 4,
  batch: 3,
  context: 32,
  seed: 7,
  precision,
  heldOutRows: 0,
  checkpointEvery: 0,
});

/** A process of its own that trains and prints its losses. */
async function lossesInFreshProcess(config: TrainConfigInput): Promise<number[]> {
  const script = `
    const { trainTiny, lossesOf } = await import('./tests/support/trainingRun.ts');
    const { events } = await trainTiny({ config: JSON.parse(process.argv[1]), folder: process.argv[2] });
    process.stdout.write('\\n' + JSON.stringify(lossesOf(events)));
    process.exit(0);`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', script, JSON.stringify(config), temporaryFolder()],
    { cwd: join(projectFolder) },
  );
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as number[];
}

describe.each(['f32', 'bf16'] as const)('%s with dropout', (precision) => {
  it.each<Method>(['lora', 'dora', 'hydralora', 'moelora', 'idlora'])(
    '%s: the same seed gives the same losses in another graph',
    async (method) => {
      const config = configOf(method, precision);
      const [first, second] = [
        await trainTiny({ config, folder: temporaryFolder() }),
        await trainTiny({ config, folder: temporaryFolder() }),
      ].map(({ events }) => lossesOf(events));
      expect(second).toEqual(first);
    },
  );

  it('idlora: and in other processes; another seed gives others', async () => {
    const config = configOf('idlora', precision);
    const here = lossesOf((await trainTiny({ config, folder: temporaryFolder() })).events);
    expect(here).toHaveLength(4);
    expect(await lossesInFreshProcess(config)).toEqual(here);
    expect(await lossesInFreshProcess({ ...config, seed: 8 })).not.toEqual(here);
  });
});
