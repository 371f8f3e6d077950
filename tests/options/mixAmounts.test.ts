import { describe, expect, it } from 'vitest';
import { mixAmounts, type AmountSource } from '../../src-main/options/mixAmounts.ts';
import type { MixRecipe } from '../../src-main/contract/mixing/mixes.ts';

type Rules = Pick<MixRecipe, 'unit' | 'stop' | 'size' | 'temperature' | 'maxEpochs'>;

const rules: Rules = { unit: 'tokens', stop: 'all', size: null, temperature: 1, maxEpochs: null };

function source(
  name: string,
  units: number,
  by?: 'share' | 'weight' | 'epochs' | 'count',
  value = 0,
): AmountSource {
  return { name, units, amount: by ? { by, value } : null, maxEpochs: null };
}

const unitsOf = (given: Partial<Rules>, ...sources: AmountSource[]) =>
  mixAmounts({ ...rules, ...given }, sources).units;

describe('amounts of a pass over a mix', () => {
  it('keeps shares until all sources are exhausted, or the first one is', () => {
    const sources = [source('a', 1000, 'share', 75), source('b', 1000, 'share', 25)];
    expect(unitsOf({}, ...sources)).toEqual([3000, 1000]);
    const first = unitsOf({ stop: 'first' }, ...sources);
    expect(first[0]).toBeCloseTo(1000);
    expect(first[1]).toBeCloseTo(1000 / 3);
    expect(unitsOf({ stop: 'size', size: 400 }, ...sources)).toEqual([300, 100]);
  });

  it('takes each row once whatever the shares, and nothing of a source that is to give nothing', () => {
    expect(
      unitsOf(
        { stop: 'once' },
        source('a', 10, 'weight', 9),
        source('b', 90, 'weight', 1),
        source('c', 5, 'share', 0),
      ),
    ).toEqual([10, 90, 0]);
  });

  it('divides by weights what shares leave, and by size where nothing is given', () => {
    const sources = [
      source('a', 100, 'share', 50),
      source('b', 100, 'weight', 3),
      source('c', 100, 'weight', 1),
    ];
    expect(unitsOf({ stop: 'size', size: 800 }, ...sources)).toEqual([400, 300, 100]);
    expect(unitsOf({ stop: 'size', size: 100 }, source('a', 300), source('b', 100))).toEqual([75, 25]);
  });

  it('fills shares by temperature: p ~ n^(1/T)', () => {
    const { askedShares } = mixAmounts({ ...rules, temperature: 2 }, [source('a', 900), source('b', 100)]);
    expect(askedShares[0]).toBeCloseTo(0.75);
    expect(askedShares[1]).toBeCloseTo(0.25);
  });

  it('takes epochs and counts as they are, and lets shares be of the whole beside them', () => {
    expect(unitsOf({}, source('a', 100, 'epochs', 2.5), source('b', 40, 'count', 7))).toEqual([250, 7]);
    const beside = unitsOf({}, source('a', 100, 'epochs', 3), source('b', 1000, 'share', 25));
    expect(beside[0]).toBe(300);
    expect(beside[1]).toBeCloseTo(100);
  });

  it('lets a cap shorten the pass and keep the shares, and says so', () => {
    const { units, warnings } = mixAmounts({ ...rules, maxEpochs: 2 }, [
      source('a', 1000, 'share', 50),
      source('small', 100, 'share', 50),
    ]);
    expect(units).toEqual([200, 200]);
    expect(warnings).toEqual([
      'The pass ends after 400 tokens instead of 2,000 tokens: "small" would be repeated beyond its cap, and the shares are kept.',
    ]);
    const fixed = mixAmounts({ ...rules, maxEpochs: 2 }, [source('a', 10, 'epochs', 5)]);
    expect(fixed.units).toEqual([20]);
    expect(fixed.warnings[0]).toContain('gives 20 tokens instead of 50 tokens');
  });

  it('refuses what has no meaning, with the numbers', () => {
    const two = (a: number, b: number) => [source('a', 10, 'share', a), source('b', 10, 'share', b)];
    expect(() => unitsOf({}, ...two(60, 60))).toThrow('The shares add up to 120 %');
    expect(() => unitsOf({}, ...two(60, 30))).toThrow('The shares add up to 90 %, not to 100 %');
    expect(() => unitsOf({}, source('a', 10, 'share', 100), source('b', 10))).toThrow('share the rest');
    expect(() => unitsOf({}, source('a', 10, 'weight', 1), source('b', 10))).toThrow('"b" has no weight');
    expect(() => unitsOf({ stop: 'size' }, source('a', 10))).toThrow('no size');
    expect(() => unitsOf({}, source('empty', 0), source('b', 10))).toThrow(
      '"empty" of the mix has no row left',
    );
    expect(() =>
      unitsOf({ stop: 'size', size: 1000 }, source('a', 100, 'epochs', 1), source('b', 10, 'share', 50)),
    ).toThrow('make a pass of 200 tokens, which is to have 1,000 tokens');
  });
});
