import { expect, it } from 'vitest';
import { studentQuantile } from '../../src-main/statistics/student.ts';
import { compareOverSeeds, meanInterval } from '../../src-main/statistics/seeds.ts';

it('has Student’s quantiles (tables of the t distribution, 97.5 %)', () => {
  const known: [number, number][] = [
    [1, 12.7062],
    [2, 4.3027],
    [3, 3.1824],
    [4, 2.7764],
    [9, 2.2622],
    [19, 2.093],
    [100, 1.984],
  ];
  for (const [freedom, t] of known) expect(studentQuantile(freedom, 0.95), String(freedom)).toBeCloseTo(t, 3);
});

it('gives the interval of a mean, none with one value', () => {
  expect(meanInterval([1])).toBeNull();
  // Mean 2, deviation 1, n = 3: 2 +- 4.3027 / sqrt(3).
  const [low, high] = meanInterval([1, 2, 3])!;
  expect(low).toBeCloseTo(2 - 2.4841, 3);
  expect(high).toBeCloseTo(2 + 2.4841, 3);
});

it('compares seed by seed, so that what a seed does to both falls out', () => {
  const scores = [
    ...[10, 20, 30].map((value, seed) => ({ arm: 0, seed, value })),
    ...[11, 21, 31].map((value, seed) => ({ arm: 1, seed, value })),
    { arm: 2, seed: 7, value: 5 },
  ];
  const { arms, pairs } = compareOverSeeds(4, scores);
  expect(arms.map(({ n, loss }) => [n, loss])).toEqual([
    [3, 20],
    [3, 21],
    [1, 5],
    [0, null],
  ]);
  expect(arms[0]!.deviation).toBeCloseTo(10, 9);
  expect(arms[2]!.deviation).toBeNull();
  // The seeds differ by ten, the settings by exactly one.
  expect(pairs).toEqual([
    {
      first: 0,
      second: 1,
      n: 3,
      difference: -1,
      interval: [-1, -1],
      deviation: 0,
      pAdjusted: 0,
      verdict: 'first_better',
    },
  ]);
});

it('claims nothing that a test over all pairs does not carry', () => {
  const seeds = [0.1, 0.2, 0.36];
  const scores = (shift: number, arm: number) =>
    seeds.map((value, seed) => ({ arm, seed, value: value * shift }));
  const alone = compareOverSeeds(2, [...scores(1, 0), ...scores(0.2, 1)]).pairs;
  const among = compareOverSeeds(
    4,
    [0, 1, 2, 3].flatMap((arm) => scores([1, 0.2, 0.9, 0.3][arm]!, arm)),
  ).pairs;
  const p = ({ pAdjusted }: { pAdjusted: number | null }) => pAdjusted!;
  // The interval of the pair ends at 0 or above; by itself its p is just above 0.05, among six it is further off.
  expect(p(among[0]!)).toBeGreaterThan(p(alone[0]!));
  expect(among.every((pair) => (pair.verdict === 'cannot_tell') === p(pair) >= 0.05)).toBe(true);
  const single = compareOverSeeds(2, [
    { arm: 0, seed: 0, value: 1 },
    { arm: 1, seed: 0, value: 2 },
  ]);
  expect(single.pairs[0]).toMatchObject({ pAdjusted: null, verdict: 'cannot_tell' });
});
