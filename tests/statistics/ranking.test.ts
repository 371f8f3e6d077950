import { expect, it } from 'vitest';
import {
  bradleyTerry,
  judgedPreference,
  judgedPreferenceWords,
  preferenceBetween,
  type Vote,
} from '../../src-main/statistics/preference.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { compactLetters, type ToldApart } from '../../src-main/statistics/ranking.ts';

it('subjects that share a letter are not told apart, and all others are', () => {
  const letters = (count: number, apart: ToldApart[]) =>
    compactLetters(count, apart).map((list) => list.join(''));
  expect(letters(3, [])).toEqual(['a', 'a', 'a']);
  expect(letters(3, [[0, 2]])).toEqual(['a', 'ab', 'b']);
  expect(
    letters(3, [
      [0, 1],
      [0, 2],
    ]),
  ).toEqual(['a', 'b', 'b']);
  expect(letters(0, [])).toEqual([]);
  // Any set of pairs: shared letters and pairs say the same.
  const random = createRandom(2);
  for (let world = 0; world < 200; world++) {
    const count = 2 + random.integer(7);
    const apart: ToldApart[] = [];
    for (let i = 0; i < count; i++)
      for (let j = i + 1; j < count; j++) if (random.next() < 0.4) apart.push([i, j]);
    const found = compactLetters(count, apart);
    for (let i = 0; i < count; i++)
      for (let j = i + 1; j < count; j++) {
        const isShared = found[i]!.some((letter) => found[j]!.includes(letter));
        expect(isShared).toBe(!apart.some(([a, b]) => a === i && b === j));
      }
  }
  // More than an alphabet of subjects, each told from each.
  const all = Array.from({ length: 30 }, (_, i) =>
    Array.from({ length: 30 - i - 1 }, (_, j): ToldApart => [i, i + j + 1]),
  ).flat();
  expect(letters(30, all).slice(24)).toEqual(['y', 'z', 'aa', 'ab', 'ac', 'ad']);
});

const vote = (item: number, a: string, b: string, choice: Vote['choice']): Vote => ({
  item: String(item),
  a,
  b,
  choice,
});

it('ties stand apart from wins, on whichever side the first was shown', () => {
  const votes = [
    vote(1, 'x', 'y', 'a'),
    vote(2, 'y', 'x', 'b'),
    vote(3, 'y', 'x', 'a'),
    vote(4, 'x', 'y', 'tie'),
    vote(5, 'x', 'y', 'both_bad'),
    vote(6, 'x', 'z', 'a'),
  ];
  const found = preferenceBetween(votes, 'x', 'y');
  expect(found).toMatchObject({ wins: 2, losses: 1, ties: 1, bothBad: 1, winRate: 2 / 3 });
  expect(found.pValue).toBeCloseTo(1, 12);
  expect(preferenceBetween(votes, 'y', 'z')).toMatchObject({ winRate: null, interval: [0, 1], pValue: 1 });
});

it('systems are told apart by votes enough, the same each time, and one that never lost has a bound', () => {
  const random = createRandom(5);
  const names = ['good', 'fair', 'poor'];
  const cast = (count: number) =>
    Array.from({ length: count }, (_, i) => {
      const [first, second] = random.shuffle([0, 1, 2]) as [number, number];
      const isFirst = random.next() < 1 / (1 + Math.exp(1.2 * (first - second)));
      return vote(i, names[first]!, names[second]!, isFirst ? 'a' : 'b');
    });
  const votes = cast(300);
  const found = bradleyTerry(votes, { resamples: 500 });
  expect(found.map(({ name, letters }) => [name, letters.join('')])).toEqual([
    ['good', 'a'],
    ['fair', 'b'],
    ['poor', 'c'],
  ]);
  expect(bradleyTerry(votes, { resamples: 500 })).toEqual(found);
  const few = bradleyTerry([vote(1, 'x', 'y', 'a'), vote(2, 'x', 'y', 'a')], { resamples: 200 });
  expect(few[0]!.strength).toBeLessThan(2);
  // Votes on one prompt are drawn together: copies of it tell nothing new.
  const width = ([low, high]: [number, number]) => high - low;
  const copied = bradleyTerry(
    votes.flatMap((one) => [one, one, one, one]),
    { resamples: 500 },
  );
  expect(width(copied[0]!.interval)).toBeGreaterThan(0.8 * width(found[0]!.interval));
});

it('systems that never met, not even by way of a third, are refused by name', () => {
  const votes = [vote(1, 'a', 'b', 'a'), vote(2, 'c', 'd', 'a')];
  expect(() => bradleyTerry(votes)).toThrow('No vote leads from a to c');
});

it('counts what a judge left open as lost and as won: a preference stands whatever it was', () => {
  const choices = (a: number, b: number, tie: number, order: number, abstained: number) => [
    ...Array.from({ length: a }, () => 'a' as const),
    ...Array.from({ length: b }, () => 'b' as const),
    ...Array.from({ length: tie }, () => 'tie' as const),
    ...Array.from({ length: order }, () => 'order' as const),
    ...Array.from({ length: abstained }, () => 'abstained' as const),
  ];
  const sure = judgedPreference(choices(20, 2, 3, 4, 0));
  expect(sure).toMatchObject({ wins: 20, losses: 2, ties: 3, orderDependent: 4, abstained: 0 });
  expect(sure.greatestP).toBe(sure.pValue);
  const open = judgedPreference(choices(20, 2, 0, 0, 12));
  expect(open.pValue).toBe(sure.pValue);
  // 20 against 14 at worst.
  expect(open.greatestP).toBeGreaterThan(0.3);
  expect(open.interval[0]).toBeLessThan(20 / 34);
  expect(open.interval[1]).toBeGreaterThan(32 / 34);
  const words = { judge: 'J', first: 'x', second: 'y' };
  expect(judgedPreferenceWords(sure, words)[0]).toBe('J prefers x.');
  expect(judgedPreferenceWords(open, words)[0]).toContain('the 12 pairs without one could turn that');
  const nothing = judgedPreference(choices(0, 0, 0, 0, 9));
  expect(nothing).toMatchObject({ winRate: null, interval: [0, 1], pValue: 1, greatestP: 1 });
  expect(judgedPreferenceWords(nothing, words)).toEqual([
    'J preferred neither: nothing can be told.',
    'In both orders x was better 0 times, y 0 times, alike 0; 0 verdicts depended on the order, and on 9 pairs it gave none.',
  ]);
});
