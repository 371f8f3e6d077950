import { describe, expect, it } from 'vitest';
import type { MixAmount, MixRecipe } from '../../../../src-main/contract/mixing/mixes.ts';
import {
  draftRecipeSchema,
  filledUp,
  isSolved,
  movedBorder,
  solve,
  unitKey,
  wholeShares,
  withKind,
  withLimits,
  withoutSource,
  withSource,
  withValue,
  type Solved,
} from '../../../../src-renderer/features/mixes/mixDraft.ts';

type Part = readonly [by: MixAmount['by'], value: number] | null;

function recipe(parts: readonly Part[], rules: Partial<MixRecipe> = {}): MixRecipe {
  return draftRecipeSchema.parse({
    ...rules,
    sources: parts.map((part, i) => ({
      kind: 'dataset',
      id: `d${i}`,
      amount: part && { by: part[0], value: part[1] },
    })),
  });
}

/** Solved with so many units in each source. */
function solved(given: MixRecipe, units: readonly number[]): Solved {
  const known = new Map(given.sources.map((source, i) => [unitKey(source, given), units[i]!]));
  const found = solve(given, known);
  if (!isSolved(found)) throw new Error(JSON.stringify(found));
  return found;
}

const values = (given: MixRecipe) => given.sources.map(({ amount }) => amount?.value ?? null);
const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);

describe('shares', () => {
  it('add up to 100.0 with one digit each, whatever the parts', () => {
    expect(wholeShares([1, 1, 1])).toEqual([33.4, 33.3, 33.3]);
    expect(wholeShares([0, 0])).toEqual([50, 50]);
    for (const parts of [[1, 2, 4], [0.1, 999], Array.from({ length: 37 }, (_, i) => i + 1)])
      expect(sum(wholeShares(parts))).toBeCloseTo(100, 9);
  });

  it('follow a slider in proportion, and stay where a number is typed', () => {
    const given = recipe([
      ['share', 50],
      ['share', 30],
      ['share', 20],
    ]);
    expect(values(withValue(given, 0, 75, 'follow'))).toEqual([75, 15, 10]);
    expect(values(withValue(given, 0, 100, 'follow'))).toEqual([100, 0, 0]);
    expect(values(withValue(given, 0, 75, 'stay'))).toEqual([75, 30, 20]);
    expect(sum(values(filledUp(withValue(given, 0, 75, 'stay'))).map(Number))).toBeCloseTo(100, 9);
    // From nothing the others come back alike.
    expect(values(withValue(withValue(given, 0, 100, 'follow'), 0, 60, 'follow'))).toEqual([60, 20, 20]);
  });

  it('keep their sum when a source is added or taken out', () => {
    const two = withSource(withSource(recipe([]), { kind: 'dataset', id: 'a' }), {
      kind: 'dataset',
      id: 'b',
    });
    expect(values(two)).toEqual([50, 50]);
    expect(values(withoutSource(two, 0))).toEqual([100]);
    const epochs = withSource(recipe([['epochs', 2]]), { kind: 'mix', id: 'm' });
    expect(epochs.sources[1]).toMatchObject({ kind: 'mix', amount: { by: 'epochs', value: 1 } });
    expect(withSource(recipe([null]), { kind: 'dataset', id: 'b' }).sources[1]!.amount).toBeNull();
  });
});

describe('a border of the bar', () => {
  it('moves share from one neighbor to the other alone, to the digit', () => {
    const given = recipe([
      ['share', 33.4],
      ['share', 33.3],
      ['share', 33.3],
    ]);
    const moved = movedBorder(given, 1, 0.0123, solved(given, [10, 10, 10]));
    expect(values(moved)).toEqual([33.4, 34.5, 32.1]);
    expect(values(movedBorder(given, 1, 5, solved(given, [10, 10, 10])))).toEqual([33.4, 66.6, 0]);
  });

  it('speaks in the words of each amount: the shares afterwards are those that were dragged to', () => {
    const cases: [readonly Part[], readonly number[]][] = [
      [
        [
          ['epochs', 1],
          ['epochs', 2],
        ],
        [100, 300],
      ],
      [
        [
          ['count', 400],
          ['count', 600],
        ],
        [1000, 1000],
      ],
      [
        [
          ['weight', 3],
          ['weight', 1],
          ['weight', 4],
        ],
        [100, 100, 500],
      ],
      [
        [
          ['epochs', 1],
          ['count', 600],
        ],
        [400, 1000],
      ],
      [
        [
          ['share', 50],
          ['epochs', 1],
          ['epochs', 1],
        ],
        [100, 300, 300],
      ],
    ];
    for (const [parts, units] of cases) {
      const given = recipe(parts);
      const before = solved(given, units).shares;
      const after = solved(movedBorder(given, 0, 0.1, solved(given, units)), units).shares;
      expect(after[0]! - before[0]!, JSON.stringify(parts)).toBeCloseTo(0.1, 2);
      expect(after[1]! - before[1]!, JSON.stringify(parts)).toBeCloseTo(-0.1, 2);
      expect(
        movedBorder(given, 0, 0.1, solved(given, units)).sources.map(({ amount }) => amount!.by),
      ).toEqual(parts.map((part) => part![0]));
    }
  });

  it('gives all sources shares where one had no number of its own', () => {
    const given = recipe([null, null]);
    const moved = movedBorder(given, 0, 0.25, solved(given, [100, 300]));
    expect(moved.sources.map(({ amount }) => amount)).toEqual([
      { by: 'share', value: 50 },
      { by: 'share', value: 50 },
    ]);
  });
});

describe('another way to say an amount', () => {
  it('is the same mix', () => {
    const units = [100, 300, 50];
    let given = recipe([
      ['share', 20],
      ['share', 50],
      ['share', 30],
    ]);
    const before = solved(given, units).shares;
    for (const by of ['epochs', 'count', 'share'] as const) {
      given = withKind(given, 1, by, solved(given, units));
      expect(given.sources[1]!.amount!.by).toBe(by);
      solved(given, units).shares.forEach((share, i) => expect(share, by).toBeCloseTo(before[i]!, 2));
    }
    expect(withKind(given, 0, null, null).sources[0]!.amount).toBeNull();
  });

  it('cannot be solved before sizes are known that it needs, and says why a mix cannot be', () => {
    expect(solve(recipe([['epochs', 1]]), new Map())).toBeNull();
    expect(isSolved(solve(recipe([['share', 100]]), new Map()))).toBe(true);
    const wrong = solve(
      recipe([
        ['share', 60],
        ['share', 60],
      ]),
      new Map(),
    );
    expect(wrong).toMatchObject({ code: 'config_invalid' });
  });
});

it('caps one source alone, as the core does, and knows each part of it by its own size', () => {
  const given = recipe([
    ['share', 50],
    ['share', 50],
  ] as const);
  const free = solved(given, [100, 1000]);
  expect(free.taken).toEqual([1000, 1000]);
  const capped = withLimits(given, 0, { maxEpochs: 2 });
  expect(capped.sources.map(({ maxEpochs }) => maxEpochs)).toEqual([2, null]);
  expect(solved(capped, [100, 1000]).taken).toEqual([200, 200]);
  const other = withLimits(capped, 1, { split: 'validation' });
  expect(unitKey(other.sources[1]!, other)).not.toBe(unitKey(capped.sources[1]!, capped));
  expect(values(other)).toEqual([50, 50]);
});
