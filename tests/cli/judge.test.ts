import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { studio } from '../support/commandLine.ts';
import { patchedFolder } from '../support/patchedFolder.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { tinyLlama } from '../support/paths.ts';

it('eval has a model judge answers, and compares stored answers by it in both orders', async () => {
  const folder = temporaryFolder();
  const home = ['--home', join(folder, 'home')];
  const quiz = join(folder, 'quiz.jsonl');
  const rows = ['one', 'two', 'three'].map((answer, i) => ({ question: `${i}?`, answer }));
  writeFileSync(quiz, rows.map((row) => JSON.stringify(row)).join('\n'));
  // What a judge is asked is longer than the context of the fixture.
  const judge = patchedFolder('tiny-llama', { 'config.json': { max_position_embeddings: 2048 } });
  const evaluate = (...rest: string[]) =>
    studio(['eval', '--model', tinyLlama, '--path', quiz, '--max-tokens', '4', ...rest, ...home]);
  const judged = await evaluate('--benchmark', 'judge', '--judge', judge, '--json');
  expect([judged.code, judged.stderr]).toEqual([0, expect.anything()]);
  const [found] = (JSON.parse(judged.stdout) as { benchmarks: unknown[] }).benchmarks;
  // A model without training has no verdict on anything.
  expect(found).toMatchObject({
    n: 3,
    score: 0,
    interval: [0, 1],
    judge: { version: 'judge-answer-1', abstained: 3 },
  });
  const words = await evaluate('--benchmark', 'judge', '--judge', judge);
  expect(words.stdout).toContain('which gave no verdict on 3 of 3 items');
  const without = await evaluate('--benchmark', 'judge');
  expect([without.code, without.stderr]).toEqual([2, expect.stringContaining('needs a model that judges')]);
  const pair = ['preferences', 'judge', 'base', 'nobody', '--benchmark', 'judge', '--judge', judge];
  const nobody = await studio([...pair, ...home]);
  expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('no scores of judge')]);
});
