import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ScoringEntry, ScoringQueue } from '../../../src-main/contract/evaluation/scoring.ts';
import { writeGeneratedDataset } from '../../fixtures/generatedDataset.ts';
import { studio } from '../../support/commandLine.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';
import { tinyLlama } from '../../support/paths.ts';

it('eval --queue keeps what is to be scored, and queue lists, orders, takes out and does it', async () => {
  const folder = temporaryFolder();
  const file = join(folder, 'sums.jsonl');
  writeGeneratedDataset(file, 20, 1);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await studio([...args, '--home', join(folder, 'home'), '--json']);
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    return { value: JSON.parse(stdout) as unknown, stderr };
  };
  const queued = async (benchmark: string, ...limits: string[]) => {
    const asked = ['--model', tinyLlama, '--benchmark', benchmark, '--path', file, '--max-tokens', '2'];
    return (await run('eval', ...asked, ...limits, '--queue')).value as ScoringEntry[];
  };
  const scoring = async (...args: string[]) =>
    ((await run('queue', ...args)).value as { scoring: ScoringQueue }).scoring;
  const both = await queued('exact_match,contains', '--limit', '3');
  const [last] = await queued('exact_match', '--limit', '5');
  expect(both.map(({ title }) => title)).toEqual([
    'tiny-llama (base) by exact_match, 3 items',
    'tiny-llama (base) by contains, 3 items',
  ]);
  const [first, second] = both.map(({ id }) => id);
  expect((await scoring('move', last!.id, '--before', first!)).waiting.map(({ id }) => id)).toEqual([
    last!.id,
    first,
    second,
  ]);
  await scoring('cancel', second!);
  const { value, stderr } = await run('queue', 'work');
  expect(stderr).toContain('Scoring tiny-llama (base) by exact_match, 5 items');
  const { ended, waiting } = (value as { scoring: ScoringQueue }).scoring;
  expect(waiting).toEqual([]);
  expect(ended.map(({ id, state }) => [id, state])).toEqual([
    [first, 'done'],
    [last!.id, 'done'],
  ]);
  // A word for this command alone would be none when it has its turn.
  const asked = ['--benchmark', 'humaneval', '--path', file, '--queue', '--home', join(folder, 'home')];
  const refused = await studio(['eval', '--model', tinyLlama, ...asked, '--allow-code-execution']);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('agrees for this command')]);
  const absent = await studio(['queue', 'cancel', second!, '--home', join(folder, 'home')]);
  expect([absent.code, absent.stderr]).toEqual([1, expect.stringContaining('no entry of the queue')]);
});
