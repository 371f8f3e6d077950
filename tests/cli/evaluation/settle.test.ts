import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ScoringQueue } from '../../../src-main/contract/evaluation/scoring.ts';
import type { Settling } from '../../../src-main/contract/evaluation/settling.ts';
import type { Study } from '../../../src-main/contract/studies.ts';
import { writeGeneratedDataset } from '../../fixtures/generatedDataset.ts';
import { studio } from '../../support/commandLine.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

it(
  'compare --settle puts what would settle an open pair into the queue, once, and queue work does it',
  { timeout: 600_000 },
  async () => {
    const home = join(temporaryFolder(), 'home');
    const data = join(temporaryFolder(), 'sums.jsonl');
    writeGeneratedDataset(data, 30, 1);
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await studio([...args, '--home', home]);
      expect(code, `${args.join(' ')}\n${stdout}\n${stderr}`).toBe(0);
      return stdout;
    };
    const json = async <T>(...args: string[]) => JSON.parse(await run(...args, '--json')) as T;
    const queue = async () => (await json<{ scoring: ScoringQueue }>('queue', 'list')).scoring;
    await run(
      ...[
        'study',
        'start',
        '--name',
        'pair',
        '--model',
        tinyLlama,
        '--data',
        data,
        '--methods',
        'lora,idlora',
      ],
      ...['--budget', '6000', '--seeds', '0', '--max-steps', '1', '--batch', '2', '--context', '64'],
    );
    const { arms } = await json<Study>('study', 'show', 'pair');
    const names = arms.map(({ label }) => `pair ${label} s0`);
    const asked = [...names, '--benchmark', 'exact_match', '--path', data, '--max-tokens', '2'];
    const told = await run('compare', ...asked, '--limit', '4');
    expect(told).toContain('What would settle it: 4 of the 30 items that the data hold are scored.');
    expect((await queue()).waiting).toEqual([]);

    const settled = () =>
      json<{ settling: Settling[] }>('compare', ...asked, '--limit', '4', '--settle').then(
        ({ settling }) => settling,
      );
    expect(await settled()).toMatchObject([{ step: 'items', availableItems: 30 }]);
    const { waiting } = await queue();
    expect(waiting.map(({ title }) => title)).toEqual(names.map((name) => `${name} by exact_match`));
    // Asked for once more, it waits once.
    await settled();
    expect((await queue()).waiting.map(({ id }) => id)).toEqual(waiting.map(({ id }) => id));
    await run('queue', 'work');
    const { ended } = await queue();
    expect(ended.map(({ id, state }) => [id, state]).sort()).toEqual(
      waiting.map(({ id }) => [id, 'done']).sort(),
    );
    const after = await json<{ evaluations: { n: number }[] }>('compare', ...asked);
    expect(after.evaluations.map(({ n }) => n)).toEqual([30, 30]);
  },
);
