import { expect, it } from 'vitest';
import { itemScatter } from '../../../src-main/evaluation/compare.ts';
import { readScatter } from '../../../src-main/services/evaluations/storedScores.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { insertEvaluation } from '../../../src-main/store/results.ts';
import { sampleEvaluation, sampleItem, sampleKeys } from '../../support/sampleEvaluation.ts';

it('counts discordance and scatter item by item, whatever the order', () => {
  const right = (list: boolean[]) => list.map((correct, index) => sampleItem(index, { correct }));
  expect(
    itemScatter(right([true, true, false, false]), right([true, false, true, true]).toReversed()),
  ).toEqual({
    items: 4,
    difference: 0.25,
    discordance: 0.75,
    deviation: null,
  });
  const losses = (list: number[]) => list.map((loss, index) => sampleItem(index, { loss }));
  const found = itemScatter(losses([1, 2, 3]), losses([2, 4, 6]))!;
  expect(found).toMatchObject({ items: 3, difference: 2, discordance: null });
  expect(found.deviation).toBeCloseTo(1, 12);
  expect(itemScatter(losses([1]), losses([2]))).toBeNull();
});

it('pairs the newest scores of the project on the same items, and nothing else', async () => {
  const database = openWritable(':memory:');
  ensureProject(database, 'default');
  ensureProject(database, 'other');
  const add = (subject: string, corrects: boolean[], rest = {}) =>
    insertEvaluation(
      database,
      sampleEvaluation({ subject, n: corrects.length, ...rest }),
      sampleKeys(`${subject}${JSON.stringify(rest)}`),
      corrects.map((correct, index) => sampleItem(index, { correct })),
    );
  add('a', [true, true, false, true], { createdAt: '2026-01-02' });
  add('b', [true, false, false, true], { createdAt: '2026-01-03' });
  add('elsewhere', [true, true, true, true], { dataHash: 'other' });
  add('theirs', [true, true, true, true], { project: 'other' });
  const studies = { list: () => [], outcome: () => ({ arms: [], pairs: [] }) };
  const scatter = await readScatter({ database, project: 'default' }, studies);
  expect(scatter.items).toEqual([
    {
      benchmark: 'gsm8k',
      first: 'b',
      second: 'a',
      items: 4,
      difference: 0.25,
      discordance: 0.25,
      deviation: null,
    },
  ]);
  database.writable.close();
});
