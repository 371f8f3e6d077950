import { describe, expect, it } from 'vitest';
import { alignItems, type ScoredItem } from '../../src-main/statistics/alignment.ts';
import { wilsonInterval } from '../../src-main/statistics/intervals.ts';
import { kindOf, scoreItems, valueOf } from '../../src-main/statistics/itemScore.ts';
import { pairOutcome } from '../../src-main/statistics/pairOutcome.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { groupScores, itemSums, scoreInterval } from '../../src-main/statistics/scores.ts';

const item = (id: string, rest: Partial<ScoredItem> = {}): ScoredItem => ({
  id,
  group: null,
  correct: null,
  loss: null,
  state: 'graded',
  target: null,
  tokens: 1,
  ...rest,
});

describe('items of several subjects', () => {
  const a = {
    name: 'lora',
    items: ['x', 'y', 'z'].map((id) => item(id, { correct: true, target: `of ${id}` })),
  };
  const with_ = (items: ScoredItem[]) => ({ name: 'id', items });

  it('meet by their ids, whatever their order', () => {
    const { ids, columns } = alignItems([a, with_(a.items.toReversed()), a]);
    expect(ids).toEqual(['x', 'y', 'z']);
    expect(columns).toHaveLength(3);
    for (const column of columns) expect(column.map(({ id }) => id)).toEqual(ids);
    expect(alignItems([])).toEqual({ ids: [], groups: [], columns: [] });
  });

  it('are refused with the first id that is doubled, missing, or asks for something else', () => {
    const [x, y, z] = a.items as [ScoredItem, ScoredItem, ScoredItem];
    const refusal = (items: ScoredItem[]) => {
      try {
        alignItems([a, with_(items)]);
      } catch (error) {
        return error as { code: string; message: string };
      }
      throw new Error('was not refused');
    };
    expect(refusal([x, y, z, y])).toMatchObject({
      code: 'usage',
      message: 'Item "y" stands twice among the 4 items of id.',
    });
    expect(() => alignItems([with_([x, x]), a])).toThrow('Item "x" stands twice among the 2 items of id.');
    expect(refusal([x, z]).message).toContain('(3 and 2): item "y" is missing from id.');
    expect(refusal([x, y, z, item('w')]).message).toContain('(3 and 4): item "w" is missing from lora.');
    expect(refusal([x, { ...y, target: 'more' }, z]).message).toContain(
      'item "y" has another target: "of y" and "more"',
    );
    const scored = (tokens: number) => ({ ...a, items: [item('x', { loss: 1, tokens })] });
    expect(() => alignItems([scored(3), scored(4)])).toThrow(
      'the answer of item "x" has 3 tokens with one, 4',
    );
  });
});

describe('a score', () => {
  const right = (count: number, of: number, rest: Partial<ScoredItem>[] = []) => [
    ...Array.from({ length: of }, (_, i) => item(String(i), { correct: i < count })),
    ...rest.map((more, i) => item(`more ${i}`, more)),
  ];

  it("has Wilson's interval, and keeps what could not be graded: anything between none and all right", () => {
    expect(scoreItems('right', right(30, 40)).interval).toEqual(wilsonInterval(30, 40));
    const found = scoreItems(
      'right',
      right(30, 40, [
        { state: 'failed' },
        { state: 'cut_off' },
        ...Array<object>(8).fill({ state: 'cut_off' }),
      ]),
    );
    const [low, high] = wilsonInterval(30, 40);
    expect(found).toMatchObject({ n: 50, graded: 40, failed: 1, cutOff: 9, score: 0.75 });
    expect(found.interval[0]).toBeCloseTo(0.8 * low, 12);
    expect(found.interval[1]).toBeCloseTo(0.8 * high + 0.2, 12);
    const none = scoreItems('right', [item('a', { state: 'failed' })]);
    expect(none).toMatchObject({ score: null, interval: [0, 1], method: 'bounds', effectiveN: 0 });
  });

  it('does not count an answer that was cut off as wrong, even where a grade was stored with it', () => {
    expect(valueOf('right', item('a', { correct: false, state: 'cut_off' }))).toBeNaN();
    expect(valueOf('share', item('a', { correct: 0.25 }))).toBe(0.25);
    expect(valueOf('loss', item('a', { loss: 2 }))).toBe(2);
  });

  it('is a share where an item is partly right', () => {
    expect(kindOf([item('a', { correct: 1 }), item('b', { correct: 0.5 })], false)).toBe('share');
    expect(kindOf([item('a', { correct: 1 }), item('b', { correct: false })], false)).toBe('right');
    expect(kindOf([item('a', { correct: 0.5 })], true)).toBe('loss');
  });

  it('of shares that are all alike, or few, has the width of right and wrong', () => {
    const alike = Array.from({ length: 30 }, (_, i) => item(String(i), { correct: 0 }));
    expect(scoreItems('share', alike)).toMatchObject({ method: 'wilson', interval: wilsonInterval(0, 30) });
    const few = Array.from({ length: 8 }, (_, i) => item(String(i), { correct: i / 10 }));
    expect(scoreItems('share', few)).toMatchObject({ method: 'wilson', interval: wilsonInterval(2.8, 8) });
  });

  it('over groups tells how many items they are worth', () => {
    const random = createRandom(4);
    const items = Array.from({ length: 400 }, (_, i) =>
      item(String(i), { group: `g${i % 20}`, correct: random.next() < (i % 20) / 20 }),
    );
    const found = scoreItems('right', items);
    expect(found).toMatchObject({ method: 'wilson_clustered', groups: 20 });
    expect(found.designEffect).toBeGreaterThan(4);
    // Less than items over the effect: 19 degrees of freedom are few.
    expect(found.effectiveN).toBeLessThan(400 / found.designEffect);
    const [low, high] = found.interval;
    const plain = wilsonInterval(Math.round(found.score! * 400), 400);
    expect(high - low).toBeGreaterThan(1.8 * (plain[1] - plain[0]));
  });

  it('of losses is a mean; one says nothing of others', () => {
    const losses = [1, 2, 4].map((loss, i) => item(String(i), { loss }));
    expect(scoreItems('loss', losses)).toMatchObject({ method: 'student', graded: 3 });
    expect(scoreItems('loss', losses).score).toBeCloseTo(7 / 3, 12);
    expect(scoreItems('loss', losses.slice(0, 1)).interval).toEqual([0, Number.MAX_VALUE]);
  });
});

describe('a pair', () => {
  const values = (list: (number | null)[]) => Float64Array.from(list, (value) => value ?? NaN);
  const repeat = (list: (number | null)[], times: number) => Array.from({ length: times }, () => list).flat();

  it('leaves out items that one was not graded on, and widens its interval by all that they could be', () => {
    const [a, b] = [repeat([0, 0, 1, 1, 0], 10), repeat([1, 0, 1, 1, 1], 10)];
    const whole = pairOutcome('right', values(a), values(b), [])!;
    const found = pairOutcome('right', values([...a, 1, null, null]), values([...b, null, 0, null]), [])!;
    expect(found).toMatchObject({ n: 50, difference: whole.difference, pValue: whole.pValue });
    expect(found.ungraded).toEqual({ a: 2, b: 2, items: 3 });
    // a right and b open: -1 or 0. b wrong and a open: -1 or 0. Both open: -1 to 1.
    expect(found.interval[0]).toBeCloseTo((50 * whole.interval[0] - 3) / 53, 12);
    expect(found.interval[1]).toBeCloseTo((50 * whole.interval[1] + 1) / 53, 12);
    expect(pairOutcome('right', values([null]), values([1]), [])).toMatchObject({ n: 0, interval: [0, 1] });
    expect(pairOutcome('loss', values([null]), values([1]), [])).toBeNull();
  });

  it('counts what four ways there are to answer', () => {
    const found = pairOutcome('right', values([1, 1, 0, 0, 0]), values([1, 0, 1, 0, 0]), [])!;
    expect(found.counts).toEqual({ both: 1, onlyA: 1, onlyB: 1, neither: 2 });
    expect(found).toMatchObject({ differing: 2, test: 'mcnemar_exact', groups: null, effectiveN: 5 });
  });

  it('of shares is tested by signed ranks and drawn anew; with few, or none that differ, it has a width too', () => {
    const random = createRandom(8);
    const a = Float64Array.from({ length: 60 }, () => Math.round(10 * random.next()) / 10);
    const better = a.map((value) => Math.min(1, value + 0.2));
    const found = pairOutcome('share', a, better, [])!;
    expect(found.test).toBe('wilcoxon_signed_rank');
    expect(found.pValue).toBeLessThan(1e-6);
    expect(found.interval[0]).toBeGreaterThan(0.1);
    expect(found.interval[1]).toBeLessThan(0.2);
    const same = pairOutcome('share', a, a, [])!;
    expect(same.interval[0]).toBeLessThan(-0.03);
    expect(same.interval[1]).toBeGreaterThan(0.03);
    const few = pairOutcome('share', a.slice(0, 6), better.slice(0, 6), [])!;
    expect(few.interval[0]).toBeLessThan(0);
  });

  it('is computed at once: 15 pairs of 1,000 items, with groups and without', () => {
    const random = createRandom(1);
    const columns = Array.from({ length: 6 }, () =>
      Float64Array.from({ length: 1000 }, () => Number(random.next() < 0.6)),
    );
    const groups = Array.from({ length: 1000 }, (_, i) => `g${i % 57}`);
    const all = (kind: 'right' | 'loss', of: string[]) =>
      columns.flatMap((a, i) => columns.slice(i + 1).map((b) => pairOutcome(kind, a, b, of)!));
    all('right', groups);
    for (const kind of ['right', 'loss'] as const)
      for (const of of [groups, []]) {
        const begin = process.cpuUsage();
        expect(all(kind, of)).toHaveLength(15);
        // Measured: 15 to 60 ms.
        expect(process.cpuUsage(begin).user / 1000).toBeLessThan(150);
      }
  });
});

describe('an interval that is found anew from what is stored', () => {
  const random = createRandom(6);
  const of = (groups: number, isShare: boolean) =>
    Array.from({ length: 300 }, (_, i) => {
      const level = (i % groups) / groups;
      const right = Number(random.next() < level);
      return { group: `g${i % groups}`, correct: isShare ? (right + level) / 2 : right };
    });
  const stored = (list: readonly { group: string | null; correct: number }[], failed = 0) => {
    const isShare = list.some(({ correct }) => correct !== 0 && correct !== 1);
    const graded = list.map(({ group, correct }) => ({
      group,
      correct: isShare ? null : correct === 1,
      share: isShare ? correct : null,
    }));
    const rest = Array.from({ length: failed }, () => ({ group: null, correct: null, share: null }));
    return { sums: itemSums([...graded, ...rest]), groups: groupScores(graded), n: list.length + failed };
  };

  it('is that of the items: over groups, and with what was not graded', () => {
    const list = of(20, false);
    const { sums, groups, n } = stored(list);
    const fromItems = scoreItems(
      'right',
      list.map((one, i) => item(String(i), one)),
    );
    scoreInterval(sums, n, groups).forEach((bound, i) =>
      expect(bound).toBeCloseTo(fromItems.interval[i]!, 10),
    );
    const plain = scoreInterval(sums, n);
    expect(plain).toEqual(wilsonInterval(list.filter(({ correct }) => correct === 1).length, 300));
    expect(fromItems.interval[1] - fromItems.interval[0]).toBeGreaterThan(1.5 * (plain[1] - plain[0]));
    const alone = list.map(({ correct }) => ({ group: null, correct }));
    const cut = stored(alone, 100);
    const items = [
      ...alone.map((one, i) => item(String(i), one)),
      ...Array.from({ length: 100 }, (_, i) => item(`cut ${i}`, { state: 'cut_off' })),
    ];
    scoreInterval(cut.sums, cut.n).forEach((bound, i) =>
      expect(bound).toBeCloseTo(scoreItems('right', items).interval[i]!, 10),
    );
    expect(scoreInterval({ kind: 'right', right: 0, ungraded: 5 }, 5)).toEqual([0, 1]);
  });

  it('of shares is wider over groups; two groups are not taken for a sample of groups', () => {
    const { sums, groups, n } = stored(of(20, true));
    const width = ([low, high]: [number, number]) => high - low;
    expect(width(scoreInterval(sums, n, groups))).toBeGreaterThan(1.5 * width(scoreInterval(sums, n)));
    const halves = stored(of(2, false));
    expect(scoreInterval(halves.sums, halves.n, halves.groups)).toEqual(scoreInterval(halves.sums, halves.n));
  });
});
