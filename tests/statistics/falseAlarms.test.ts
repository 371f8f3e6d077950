import { describe, expect, it } from 'vitest';
import { bootstrapMean } from '../../src-main/statistics/bootstrap.ts';
import { clusteredMean, clusteredWilson, clustersOf } from '../../src-main/statistics/clusters.ts';
import { wilsonInterval, type Interval } from '../../src-main/statistics/intervals.ts';
import { scoreItems } from '../../src-main/statistics/itemScore.ts';
import { pairOutcome } from '../../src-main/statistics/pairOutcome.ts';
import { createRandom, type Random } from '../../src-main/statistics/random.ts';
import { compareSeedsAndItems } from '../../src-main/statistics/seedsAndItems.ts';

/** Simulations with a fixed seed: how often a test sees what is not there, and an interval holds what is. */
const worlds = 600;
const share = (test: (random: Random) => boolean, count = worlds) => {
  const random = createRandom(11);
  let hits = 0;
  for (let world = 0; world < count; world++) if (test(random)) hits++;
  return hits / count;
};
const leavesOut = ([low, high]: Interval, value: number) => low > value || high < value;

const groupCount = 30;
const perGroup = 10;
const groups = Array.from({ length: groupCount * perGroup }, (_, i) => `g${Math.floor(i / perGroup)}`);
const clusters = clustersOf(groups);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Two models of equal skill: each is better on some groups, as chance has it. */
function equals(random: Random, isLoss: boolean): [Float64Array, Float64Array] {
  const [a, b] = [new Float64Array(groups.length), new Float64Array(groups.length)];
  for (let g = 0; g < groupCount; g++) {
    const [level, lead] = [random.normal(), 1.2 * random.normal()];
    for (let i = g * perGroup; i < (g + 1) * perGroup; i++) {
      const noise = () => 0.7 * random.normal();
      a[i] = isLoss ? 2 + level - lead + noise() : Number(random.next() < sigmoid(level - lead));
      b[i] = isLoss ? 2 + level + lead + noise() : Number(random.next() < sigmoid(level + lead));
    }
  }
  return [a, b];
}

describe('equal models on items that belong together', () => {
  it('accuracy: the test over groups and its interval keep their level, drawing item by item does not', () => {
    let [byTest, byInterval, naive, byMcNemar] = [0, 0, 0, 0];
    share((random) => {
      const [a, b] = equals(random, false);
      const found = pairOutcome('right', a, b, groups)!;
      expect(found).toMatchObject({ test: 'mcnemar_clustered', groups: groupCount });
      if (found.pValue < 0.05) byTest++;
      if (leavesOut(found.interval, 0)) byInterval++;
      const differences = a.map((value, i) => b[i]! - value);
      if (leavesOut(bootstrapMean(differences, null, { resamples: 300 }), 0)) naive++;
      if (pairOutcome('right', a, b, [])!.pValue < 0.05) byMcNemar++;
      return false;
    });
    expect(byTest / worlds).toBeLessThanOrEqual(0.07);
    expect(byInterval / worlds).toBeLessThanOrEqual(0.07);
    expect(naive / worlds).toBeGreaterThan(0.2);
    expect(byMcNemar / worlds).toBeGreaterThan(0.2);
  });

  it('losses: so do the signed-rank test over groups and its interval', () => {
    let [byTest, byInterval, naive] = [0, 0, 0];
    share((random) => {
      const [a, b] = equals(random, true);
      const found = pairOutcome('loss', a, b, groups)!;
      expect(found.test).toBe('signed_rank_clustered');
      if (found.pValue < 0.05) byTest++;
      if (leavesOut(found.interval, 0)) byInterval++;
      if (pairOutcome('loss', a, b, [])!.pValue < 0.05) naive++;
      return false;
    });
    expect(byTest / worlds).toBeLessThanOrEqual(0.07);
    expect(byInterval / worlds).toBeLessThanOrEqual(0.07);
    expect(naive / worlds).toBeGreaterThan(0.2);
  });

  it('shares: so does the bootstrap of groups', () => {
    const rate = share((random) => {
      const [a, b] = equals(random, true).map((values) => values.map(sigmoid)) as [
        Float64Array,
        Float64Array,
      ];
      const differences = a.map((value, i) => b[i]! - value);
      return leavesOut(bootstrapMean(differences, clusters, { resamples: 400 }), 0);
    });
    expect(rate).toBeLessThanOrEqual(0.07);
  });

  it('a difference that is there is seen: the level is not kept by seeing nothing', () => {
    const power = share((random) => {
      const [a, b] = equals(random, false);
      const better = b.map((value) => (random.next() < 0.5 ? 1 : value));
      return pairOutcome('right', a, better, groups)!.pValue < 0.05;
    }, 100);
    expect(power).toBeGreaterThan(0.8);
  });
});

describe('intervals of a score', () => {
  it('hold the accuracy of all groups in 95 of 100 cases where the interval of single items does not', () => {
    let plain = 0;
    const clustered = share((random) => {
      // The mean of sigmoid over a normal level of mean 0 is 0.5.
      const [a] = equals(random, false);
      const right = a.reduce((sum, value) => sum + value, 0);
      if (leavesOut(wilsonInterval(right, a.length), 0.5)) plain++;
      return leavesOut(clusteredWilson(a, clusters), 0.5);
    });
    expect(clustered).toBeLessThanOrEqual(0.065);
    expect(clustered).toBeGreaterThan(0.02);
    expect(plain / worlds).toBeGreaterThan(0.2);
  });

  it('hold a mean of shares in about 95 of 100 cases, drawn anew', () => {
    const missed = share((random) => {
      const items = Array.from({ length: 60 }, (_, i) => {
        const correct = Math.round(10 * random.next() ** 3) / 10;
        return {
          id: String(i),
          group: null,
          correct,
          loss: null,
          state: 'graded' as const,
          target: null,
          tokens: 0,
        };
      });
      const found = scoreItems('share', items);
      expect(found.method).toBe('bootstrap');
      // Mean of the rounded cube: integral of u^3, less what rounding to tenths moves.
      let expected = 0;
      for (let k = 1; k <= 10; k++) expected += (1 - ((k - 0.5) / 10) ** (1 / 3)) / 10;
      return leavesOut(found.interval, expected);
    }, 150);
    expect(missed).toBeLessThanOrEqual(0.1);
    expect(missed).toBeGreaterThan(0);
  });
});

describe('several seeds', () => {
  /** Runs of two equal settings: each training has luck of its own, the same on all items. */
  function trainings(random: Random, seeds: number, luck: number, items: number) {
    const hard = Float64Array.from({ length: items }, () => random.normal());
    const run = () => {
      const own = luck * random.normal();
      return hard.map((level) => level + own + 0.5 * random.normal());
    };
    const runs = () => Array.from({ length: seeds }, run);
    return [runs(), runs()] as const;
  }
  const alone = clustersOf(Array<null>(80).fill(null));

  it('equal settings look different in at most 7 of 100 studies; items of one seed alone say so in most', () => {
    for (const isPaired of [true, false]) {
      let oneSeed = 0;
      const alarms = share((random) => {
        const [a, b] = trainings(random, 3, 0.3, 80);
        if (pairOutcome('loss', a[0]!, b[0]!, [])!.pValue < 0.05) oneSeed++;
        return compareSeedsAndItems(a, b, alone, isPaired).pValue < 0.05;
      });
      expect(alarms).toBeLessThanOrEqual(0.07);
      expect(oneSeed / worlds).toBeGreaterThan(0.4);
    }
  });

  it('items count where seeds scatter little: their luck is not the only one', () => {
    const alarms = share((random) => {
      const [a, b] = trainings(random, 4, 0, 80);
      // One setting is better on some items, the other on others, with every seed.
      const lean = Float64Array.from({ length: 80 }, () => random.normal());
      const shifted = b.map((run) => run.map((value, i) => value + lean[i]!));
      return compareSeedsAndItems(a, shifted, alone, true).pValue < 0.05;
    });
    expect(alarms).toBeLessThanOrEqual(0.07);
    expect(alarms).toBeGreaterThan(0.02);
  });

  it('tell what seeds and items leave unknown, and nothing where nothing differs', () => {
    const [a, b] = trainings(createRandom(3), 8, 0.5, 80);
    const found = compareSeedsAndItems(a, b, alone, true);
    expect(found.seedError).toBeGreaterThan(3 * found.itemError);
    expect(compareSeedsAndItems(a, a, alone, true)).toMatchObject({ difference: 0, error: 0, pValue: 1 });
    expect(() => compareSeedsAndItems([a[0]!], b, alone, true)).toThrow(/1 and 8/);
  });
});

it('the design effect is that of the groups', () => {
  // Groups of ten alike items: each counts as one.
  const values = groups.map((_, i) => Math.floor(i / perGroup) % 2);
  const found = clusteredMean(values, clusters);
  expect(found.designEffect).toBeCloseTo(
    (perGroup * (groups.length - 1)) / groups.length / (1 - 1 / groupCount),
    6,
  );
  expect(
    clusteredMean(
      groups.map(() => 1),
      clusters,
    ).designEffect,
  ).toBe(perGroup);
});
