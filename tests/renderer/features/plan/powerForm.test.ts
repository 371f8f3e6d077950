import { expect, it } from 'vitest';
import { itemsForAccuracy, seedsFor } from '../../../../src-main/statistics/sampleSize.ts';
import type { Scatter } from '../../../../src-main/contract/evaluation/comparison.ts';
import {
  answerPower,
  itemGrounds,
  restorePower,
} from '../../../../src-renderer/features/plan/power/powerForm.ts';

const none: Scatter = { items: [], seeds: [] };
const own: Scatter = {
  items: [
    {
      benchmark: 'gsm8k',
      first: 'a',
      second: 'b',
      items: 1319,
      difference: 0.01,
      discordance: 0.2,
      deviation: null,
    },
    {
      benchmark: 'perplexity',
      first: 'a',
      second: 'b',
      items: 75,
      difference: 0.1,
      discordance: null,
      deviation: 0.4,
    },
    {
      benchmark: 'gsm8k',
      first: 'a',
      second: 'c',
      items: 48,
      difference: 0,
      discordance: 0,
      deviation: null,
    },
  ],
  seeds: [{ study: 's', first: 'lora r4', second: 'idlora r8', seeds: 3, difference: 0.01, deviation: 0.02 }],
};

it('answers in points and nats, and lets own scores stand in for the assumption', () => {
  const form = restorePower({});
  const { found } = answerPower(form, none);
  expect(found).toMatchObject({ items: itemsForAccuracy(0.02, 0.1), seeds: seedsFor(2, 1) });
  expect(itemGrounds('accuracy', own).map(({ key, value }) => [key, value])).toEqual([['a|b|gsm8k', 20]]);
  const grounded = answerPower({ ...form, itemSource: 'a|b|gsm8k', discordance: null }, own).found!;
  expect(grounded.items).toBe(itemsForAccuracy(0.02, 0.2));
  // A ground that is gone leaves the assumption.
  expect(answerPower({ ...form, itemSource: 'gone|b|gsm8k' }, own).found!.items).toBe(found!.items);
  const loss = answerPower(
    { ...form, metric: 'loss', nats: 0.05, itemSource: 'a|b|perplexity', seedSource: 's|lora r4|idlora r8' },
    own,
  ).found!;
  expect(loss.seeds).toBe(seedsFor(0.05, 0.02));
});

it('says at the field what is wrong', () => {
  const form = restorePower({});
  const problems = (rest: Partial<typeof form>) => answerPower({ ...form, ...rest }, none).problems;
  expect(problems({ points: null })).toEqual({ points: 'Enter a number.' });
  expect(problems({ points: 0 })).toEqual({ points: 'More than 0.' });
  expect(problems({ points: 20 }).points).toMatch(/cannot differ by more than 10 points/);
  expect(problems({ discordance: 101 })).toEqual({ discordance: 'At most 100.' });
  expect(problems({ power: 100, alpha: 0 })).toEqual({ power: 'At most 99.9.', alpha: 'More than 0.' });
  expect(restorePower({ points: 'x', metric: 'loss', power: 90 })).toMatchObject({
    points: 2,
    metric: 'loss',
    power: 90,
  });
});

it('more items show smaller differences, drawn in few points', () => {
  const { curve } = answerPower({ ...restorePower({}), points: 1.5 }, none).found!;
  for (let j = 1; j < curve.length; j++) expect(curve[j]![1]).toBeLessThan(curve[j - 1]![1]);
  // Each point is a search of its own: the page draws them anew with every key.
  expect(curve.length).toBeLessThanOrEqual(50);
});
