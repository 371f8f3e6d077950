import { expect, it } from 'vitest';
import { blindPairs, choiceOf } from '../../../../src-renderer/features/evaluate/blind/blindPairs.ts';
import { sampleItem } from '../../../support/sampleEvaluation.ts';

const answers = (say: (i: number) => string | null) =>
  Array.from({ length: 60 }, (_, i) => sampleItem(i, { output: say(i), question: `q${i}` }));

it('draws order and sides by a seed, and leaves out what is the same or missing', () => {
  const first = answers((i) => (i === 3 ? null : `first ${i}`));
  const second = answers((i) => (i === 5 ? 'first 5 ' : `second ${i}`));
  const pairs = blindPairs(first, second, 7);
  expect(pairs).toHaveLength(58);
  expect(pairs.map(({ id }) => id)).not.toContain('3');
  expect(pairs.map(({ id }) => id)).not.toContain('5');
  expect(blindPairs(first, second, 7)).toEqual(pairs);
  expect(blindPairs(first, second, 8)).not.toEqual(pairs);
  const left = pairs.filter(({ isALeft }) => isALeft).length;
  expect(left).toBeGreaterThan(15);
  expect(left).toBeLessThan(43);
  // An answer more or less does not turn the sides of the others.
  const sides = new Map(pairs.map(({ id, isALeft }) => [id, isALeft]));
  for (const { id, isALeft } of blindPairs(
    answers((i) => `first ${i}`),
    second,
    7,
  ))
    expect(sides.get(id) ?? isALeft).toBe(isALeft);
});

it('a vote for a side is one for the subject that stood there', () => {
  expect(choiceOf({ isALeft: true }, 'left')).toBe('a');
  expect(choiceOf({ isALeft: false }, 'left')).toBe('b');
  expect(choiceOf({ isALeft: false }, 'right')).toBe('a');
  expect(choiceOf({ isALeft: true }, 'both_bad')).toBe('both_bad');
});
