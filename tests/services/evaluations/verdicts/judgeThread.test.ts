import { expect, it } from 'vitest';
import { compareAll, compareSubjects } from '../../../../src-main/evaluation/compare.ts';
import {
  compareAllApart,
  compareSubjectsApart,
} from '../../../../src-main/services/evaluations/verdicts/judgeThread.ts';
import { sampleItem } from '../../../support/sampleEvaluation.ts';

/** A subject whose items are graded by shares of ten samples, some of them not graded. */
const subject = (name: string, n: number, step: number) => ({
  name,
  run: null,
  base: { modelId: 'm', name: 'm', hash: null },
  dataHash: 'd',
  items: Array.from({ length: n }, (_, i) =>
    i % 97 === 0
      ? sampleItem(i, { state: 'cut_off', target: 't' })
      : sampleItem(i, { share: ((i * step) % 11) / 10, target: 't' }),
  ),
});

/** How often others had their turn while something was done. */
async function turnsDuring<T>(work: () => Promise<T>): Promise<{ value: T; turns: number }> {
  let [turns, isDone] = [0, false];
  const turn = () => {
    turns++;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  const value = await work();
  isDone = true;
  return { value, turns };
}

it('gives others their turn all the time while samples of many items are drawn', async () => {
  const subjects = [subject('a', 12_000, 3), subject('b', 12_000, 5)];
  const apart = await turnsDuring(() => compareAllApart('humaneval', 'file', subjects));
  const here = await turnsDuring(() => Promise.resolve(compareAll('humaneval', 'file', subjects)));
  // In one piece nobody else has a turn; beside a thread the loop goes round thousands of times.
  expect(here.turns).toBeLessThanOrEqual(2);
  expect(apart.turns).toBeGreaterThan(500);
  expect(apart.value).toEqual(here.value);
}, 60_000);

it('says the same of pairs, and brings errors back whole', async () => {
  const subjects = [subject('a', 600, 3), subject('b', 600, 5)];
  const options = { chosenOf: 3, warnings: ['careful'] };
  expect(await compareSubjectsApart('humaneval', 'file', subjects, options)).toEqual(
    compareSubjects('humaneval', 'file', subjects, options),
  );
  const others = [subjects[0]!, { ...subjects[1]!, dataHash: 'other' }];
  await expect(compareAllApart('humaneval', 'file', others)).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('were not graded on the same items') as string,
  });
});
