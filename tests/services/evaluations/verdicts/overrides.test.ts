import { expect, it } from 'vitest';
import type { EvaluationItem } from '../../../../src-main/contract/results.ts';
import type { ServiceContext } from '../../../../src-main/services/context.ts';
import { judgeStored } from '../../../../src-main/services/evaluations/storedScores.ts';
import { overrideHandlers } from '../../../../src-main/services/evaluations/verdicts/overrides.ts';
import { overriddenWords } from '../../../../src-main/statistics/overrides.ts';
import { openWritable } from '../../../../src-main/store/database.ts';
import { ensureProject } from '../../../../src-main/store/projects.ts';
import { insertEvaluation, readEvaluationItems } from '../../../../src-main/store/results.ts';
import { sampleEvaluation, sampleItem } from '../../../support/sampleEvaluation.ts';

const answered = (index: number, correct: boolean | null, output: string): EvaluationItem =>
  sampleItem(index, {
    correct,
    output,
    question: `q${index}`,
    ...(correct === null && { state: 'cut_off' }),
  });

/** A data folder of evaluations with right and wrong answers. */
function opened() {
  const database = openWritable(':memory:');
  ensureProject(database, 'default');
  const add = (id: string, items: EvaluationItem[], itemsKey = id) =>
    insertEvaluation(
      database,
      sampleEvaluation({ id, subject: id, n: items.length }),
      { key: id, itemsKey },
      items,
    );
  const context = { database, project: 'default', writable: () => database } as unknown as ServiceContext;
  return { database, add, context, handlers: overrideHandlers(context) };
}

const wrong = (n: number) => Array.from({ length: n }, (_, i) => answered(i, false, `wrong ${i}`));

it('keeps what a person says beside the stored grades, takes it back step by step, and keeps the history', async () => {
  const { database, add, handlers } = opened();
  add('x', [answered(0, false, 'four'), answered(1, true, '5')]);
  const item = { evaluation: 'x', item: '0' };
  const first = await handlers['overrides.keep']({
    ...item,
    grade: 'pass',
    comment: ' in words ',
    seen: 'names',
  });
  expect(first.current).toMatchObject([{ item: '0', grade: 'pass', comment: 'in words', seen: 'names' }]);
  expect(first.score).toMatchObject({ score: 1, changed: 1, blind: 0 });
  const second = await handlers['overrides.keep']({ ...item, grade: 'fail', comment: '', seen: 'blind' });
  expect(second.current).toMatchObject([{ grade: 'fail', seen: 'blind' }]);
  // It says what the stored grade says: nothing is changed by it.
  expect(second.score).toBeNull();
  const back = await handlers['overrides.undo'](item);
  expect(back.current).toMatchObject([{ grade: 'pass', comment: 'in words' }]);
  expect(back.history.map(({ grade, undoneAt }) => [grade, undoneAt !== null])).toEqual([
    ['fail', true],
    ['pass', false],
  ]);
  await handlers['overrides.undo'](item);
  expect(await handlers['overrides.list']({ evaluation: 'x' })).toMatchObject({ current: [], score: null });
  await expect(handlers['overrides.undo'](item)).rejects.toThrow(/Nothing was said of item 0/);
  // What was graded stays as it was.
  expect((await readEvaluationItems(database, 'x')).map(({ correct }) => correct)).toEqual([false, true]);
});

it('holds for the same answer in a longer evaluation, and for no other answer', async () => {
  const { add, handlers } = opened();
  add('short', [answered(0, false, 'four'), answered(1, false, 'five')], 'same subject');
  const keep = handlers['overrides.keep'];
  for (const item of ['0', '1'])
    await keep({ evaluation: 'short', item, grade: 'pass', comment: '', seen: 'names' });
  add(
    'long',
    [answered(0, false, 'four'), answered(1, false, 'another'), ...wrong(4).slice(2)],
    'same subject',
  );
  const { current, score } = await handlers['overrides.list']({ evaluation: 'long' });
  expect(current.map(({ item }) => item)).toEqual(['0']);
  expect(score).toMatchObject({ score: 0.25, changed: 1 });
  add('other subject', [answered(0, false, 'four')]);
  expect((await handlers['overrides.list']({ evaluation: 'other subject' })).current).toEqual([]);
});

it('tells a verdict with and without the grades of a person', async () => {
  const { add, context, handlers } = opened();
  add('x', wrong(12));
  add('y', wrong(12));
  const without = await judgeStored(context, ['x', 'y']);
  expect(without.overridden).toBeNull();
  for (let i = 0; i < 10; i++)
    await handlers['overrides.keep']({
      evaluation: 'y',
      item: String(i),
      grade: 'pass',
      comment: '',
      seen: i < 3 ? 'blind' : 'names',
    });
  const both = await judgeStored(context, ['x', 'y']);
  expect(both.comparisons).toEqual(without.comparisons);
  expect(both.overridden).toMatchObject({ changed: 10, blind: 3 });
  expect(both.overridden!.comparisons[0]).toMatchObject({
    verdict: 'b_better',
    counts: { both: 0, onlyA: 0, onlyB: 10, neither: 2 },
  });
  expect(overriddenWords(both.overridden!)).toBe(
    'With 10 grades changed by hand, 3 without seeing whose answers they are and 7 in sight of it',
  );
});

it('grades an answer that was cut off, refuses a grade of a loss, and takes a comment on it', async () => {
  const { add, handlers } = opened();
  add('cut', [answered(0, null, 'the answer is 4 beca'), answered(1, true, '5')]);
  const keep = handlers['overrides.keep'];
  const cut = await keep({ evaluation: 'cut', item: '0', grade: 'pass', comment: '', seen: 'names' });
  expect(cut.score).toMatchObject({ score: 1, changed: 1 });
  add('loss', [sampleItem(0, { loss: 1.5 })]);
  const said = { evaluation: 'loss', item: '0', seen: 'names' } as const;
  await expect(keep({ ...said, grade: 'pass', comment: '' })).rejects.toThrow(/has a loss and no grade/);
  expect(await keep({ ...said, grade: null, comment: 'odd row' })).toMatchObject({
    current: [{ comment: 'odd row' }],
    score: null,
  });
  await expect(keep({ ...said, item: '9', grade: null, comment: '' })).rejects.toThrow(/no item "9"/);
});
