import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { Core } from '../../../src-main/core/createCore.ts';
import { mixRecipeSchema } from '../../../src-main/contract/mixing/mixes.ts';
import { trainConfigSchema } from '../../../src-main/contract/training.ts';
import { neverAborted, openTrainingCore } from '../../support/core.ts';

const open: Core[] = [];
afterEach(() => open.splice(0).forEach((core) => core.close()));

const rendering = trainConfigSchema
  .pick({ template: true, templateSource: true, system: true, trainOn: true })
  .parse({});

it('looks at rows once, with the test sets of the library beside them, and can be stopped', async () => {
  const { core, home } = await openTrainingCore();
  open.push(core);
  const question =
    'Nora has twelve red marbles and gives five of them to her little brother Tom. How many are left?';
  const write = (name: string, rows: readonly object[]) => {
    const path = join(home, `${name}.jsonl`);
    writeFileSync(path, rows.map((row) => JSON.stringify(row)).join('\n'));
    return path;
  };
  const test = write('test', [{ question, answer: '#### 7' }]);
  const train = write('train', [
    { question: `Think well. ${question}`, answer: '7 #### 7' },
    { question: 'What is one and one, please?', answer: '2 #### 2' },
  ]);
  await core.datasets.add({ paths: [train], name: 'mine', format: 'auto' });
  const alone = await core.statistics.rows('mine', neverAborted);
  expect(alone).toMatchObject({ rows: 2, findings: [] });
  await core.datasets.add({ paths: [test], name: 'exam', format: 'auto' });
  const progress: string[] = [];
  core.events.subscribe(null, ({ event }) => progress.push(event.type));
  const found = await core.statistics.rows('mine', neverAborted);
  expect(found.findings).toEqual([
    { kind: 'benchmark_overlap', with: 'exam', rows: 1, indices: [0], earlier: [] },
  ]);
  expect(progress).toContain('progress.ended');
  progress.length = 0;
  expect(await core.statistics.rows('mine', neverAborted)).toEqual(found);
  expect(progress).toEqual([]);
  const stopping = new AbortController();
  const stopped = core.statistics.rows('sums', stopping.signal);
  stopping.abort();
  await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
});

it('measures rows such that any context can be judged by it', async () => {
  const { core } = await openTrainingCore();
  open.push(core);
  const given = { dataset: 'sums', model: 'tiny', split: 'train', rendering } as const;
  const { rows, lengths, prompts, longest, longestRows } = await core.statistics.lengths(given, neverAborted);
  expect(rows).toBe(60);
  expect(lengths.length).toBe(1001);
  expect(lengths[1000]).toBe(longest);
  expect(longestRows[0]!.tokens).toBe(longest);
  expect(lengths.every((length, i) => i === 0 || length >= lengths[i - 1]!)).toBe(true);
  expect(prompts[1000]!).toBeLessThan(longest);
  // What a run cuts at a context is what the quantiles say.
  const context = lengths[500]!;
  const share = lengths.filter((length) => length > context).length / lengths.length;
  const config = trainConfigSchema.parse({
    adapter: { method: 'lora', rank: 2, alpha: 4 },
    context,
    heldOutFraction: 0,
  });
  const { recipe } = {
    recipe: { sources: [{ kind: 'dataset' as const, id: core.datasets.get('sums').id }] },
  };
  const counted = await core.mixes.count(
    { recipe: mixRecipeSchema.parse(recipe), model: 'tiny', options: config },
    neverAborted,
  );
  const cut = counted.sources[0]!.truncatedRows + counted.sources[0]!.droppedRows;
  expect(Math.abs(cut / rows - share)).toBeLessThan(0.02);
});
