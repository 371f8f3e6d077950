import { join } from 'node:path';
import { expect, it } from 'vitest';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { createCore } from '../../src-main/core/createCore.ts';
import { writeGeneratedDataset } from '../fixtures/generatedDataset.ts';
import { studio } from '../support/commandLine.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

const home = temporaryFolder();
const data = join(home, 'sums.jsonl');
const errorOf = (stdout: string) =>
  (JSON.parse(stdout.trim().split('\n').at(-1)!) as { error: Record<string, string> }).error;

it('train asks before it starts what does not fit, and says how it would', async () => {
  writeGeneratedDataset(data, 60, 1);
  const place = ['--model', tinyLlama, '--data', data, '--home', home, '--json'];
  const size = [
    '--batch',
    '10000000',
    '--context',
    '64',
    '--max-steps',
    '1',
    '--method',
    'lora',
    '--rank',
    '2',
  ];
  const { code, stdout } = await studio(['train', ...place, ...size, '--name', 'huge']);
  expect(code).toBe(1);
  const { code: reason, message, remedy } = errorOf(stdout);
  expect(reason).toBe('does_not_fit');
  expect(message).toMatch(/^"huge" needs about [\d,.]+ GB of memory/);
  expect(remedy).toMatch(/It fits with: .*--force/);
  const { stdout: list } = await studio(['runs', 'list', '--home', home, '--json']);
  expect(JSON.parse(list)).toEqual([]);
});

it('train --resume and study resume ask as well', async () => {
  const place = temporaryFolder();
  const core = createCore({ home: place, project: 'default', mode: 'write' });
  const file = join(place, 'sums.jsonl');
  writeGeneratedDataset(file, 20, 1);
  core.runs.queue.hold(true);
  core.runs.queue.begin();
  const names = { model: tinyLlama, dataset: file };
  const config = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    batch: 10_000_000,
    context: 64,
    maxSteps: 1,
  });
  await core.runs.start({ name: 'huge', ...names, config, force: true });
  const budget = { unit: 'parameters' as const, most: 6000 };
  const question = { kind: 'equal_budget' as const, methods: ['lora' as const], seeds: [0], budget, config };
  const { study } = await core.studies.start({ name: 'pair', ...names, question, force: true });
  for (const run of ['huge', study.runs[0]!.runId]) await core.runs.pause(run);
  core.close();
  for (const command of [
    ['train', '--resume', 'huge'],
    ['study', 'resume', 'pair'],
  ]) {
    const { code, stdout } = await studio([...command, '--home', place, '--json']);
    expect(code).toBe(1);
    expect(errorOf(stdout)).toMatchObject({
      code: 'does_not_fit',
      remedy: expect.stringMatching(/--force/) as string,
    });
  }
});

it('budget reads what people write, and names what it cannot read', async () => {
  const solve = (budget: string) =>
    studio([
      'budget',
      '--model',
      'llama-3-8b',
      '--method',
      'lora',
      '--solve',
      budget,
      '--json',
      '--home',
      home,
    ]);
  const found = await Promise.all(['0,5 %', '0.5%'].map(solve));
  expect(found[0]!.stdout).toBe(found[1]!.stdout);
  expect(JSON.parse(found[0]!.stdout)).toMatchObject({ budget: { unit: 'percentBase', most: 0.5 } });
  const { code, stdout } = await solve('4 QB');
  expect(code).toBe(2);
  expect(errorOf(stdout).message).toBe('--solve: "4 QB" is no budget: "QB" is no unit.');
});
