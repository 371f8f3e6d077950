import { describe, expect, it } from 'vitest';
import { evaluationItemSchema } from '../../src-main/contract/results.ts';
import { trainConfigSchema } from '../../src-main/contract/training.ts';
import { comparedSchema } from '../../src-main/contract/evaluation/comparison.ts';
import { compareAll, compareSubjects, judgeBenchmarks } from '../../src-main/evaluation/compare.ts';
import type { Graded } from '../../src-main/evaluation/gradedTable.ts';
import { createRandom } from '../../src-main/statistics/random.ts';
import { mean } from '../../src-main/statistics/seeds.ts';
import { sampleRun } from '../support/sampleRun.ts';

const base = { modelId: 'm', name: 'tiny', hash: 'weights of tiny' };

interface Given {
  correct?: boolean | number | null;
  loss?: number | null;
  group?: string | null;
  state?: 'graded' | 'failed' | 'cut_off';
}

const itemsOf = (values: readonly Given[]) =>
  values.map(({ correct = null, ...rest }, index) =>
    evaluationItemSchema.parse({
      id: `task/${index}`,
      index,
      correct: typeof correct === 'number' ? null : correct,
      share: typeof correct === 'number' ? correct : null,
      loss: null,
      tokens: 10,
      output: null,
      answer: null,
      target: null,
      ...rest,
    }),
  );

function subject(name: string, values: readonly Given[], seed = 0, rank = 4): Graded {
  const config = trainConfigSchema.parse({ adapter: { method: 'lora', rank, alpha: 8 }, seed });
  return { name, run: sampleRun({ name, config }), base, dataHash: 'h', items: itemsOf(values) };
}

/** Right on the items of a share, the same ones in each world. */
const answers = (share: number, n: number, seed: number): Given[] => {
  const random = createRandom(seed);
  return Array.from({ length: n }, () => ({ correct: random.next() < share }));
};

describe('the first sentence on several subjects', () => {
  it('says that no order is decisive where none of the differences is, and gives all one letter', () => {
    const shifted = (by: number) => Array.from({ length: 200 }, (_, i) => ({ correct: (i + by) % 10 < 6 }));
    const { ranking, comparisons, arms } = compareAll('gsm8k', 'test.jsonl', [
      subject('a', shifted(0)),
      subject('b', shifted(3), 0, 8),
      subject('c', shifted(5), 0, 16),
    ]);
    expect(ranking.sentence).toMatch(
      /^All 3 pairwise differences include zero: the ranking of [abc], [abc] and [abc] on 200 items of test.jsonl is not decisive\.$/,
    );
    expect(ranking.isDecisive).toBe(false);
    for (const { letters, isAmongBest } of ranking.subjects)
      expect({ letters, isAmongBest }).toEqual({ letters: ['a'], isAmongBest: true });
    expect(arms).toBeNull();
    expect(comparedSchema.parse({ comparisons, ranking })).toEqual({ comparisons, ranking });
  });

  it('names the best where it is better than all, best score first', () => {
    const { ranking } = compareAll('gsm8k', 'd', [
      subject('poor', answers(0.3, 400, 1)),
      subject('good', answers(0.8, 400, 2)),
      subject('fair', answers(0.55, 400, 3)),
    ]);
    expect(ranking.sentence).toBe('good is better than both of fair and poor on 400 items of d.');
    expect(ranking.subjects.map(({ name, letters }) => [name, ...letters])).toEqual([
      ['good', 'a'],
      ['fair', 'b'],
      ['poor', 'c'],
    ]);
    expect(ranking.subjects.map(({ isAmongBest }) => isAmongBest)).toEqual([true, false, false]);
  });

  it('names those that stand at the top together', () => {
    const { ranking } = compareAll('gsm8k', 'd', [
      subject('one', answers(0.8, 300, 1)),
      subject('two', answers(0.8, 300, 2)),
      subject('poor', answers(0.3, 300, 3)),
    ]);
    expect(ranking.sentence).toMatch(
      /^No single best on 300 items of d: (one and two|two and one) cannot be told apart; poor is worse than one of them or more\.$/,
    );
  });

  it('turns around for losses: the least is first', () => {
    const losses = (level: number) =>
      Array.from({ length: 50 }, (_, i) => ({ loss: level + Math.sin(i) / 9 }));
    const { ranking } = compareAll('perplexity', 'd', [
      subject('high', losses(3)),
      subject('low', losses(1)),
      subject('middle', losses(2)),
    ]);
    expect(ranking.subjects.map(({ name }) => name)).toEqual(['low', 'middle', 'high']);
    expect(ranking.sentence).toBe('low is better than both of middle and high on 50 items of d.');
  });

  it('says where a benchmark is beyond all', () => {
    const ofNone = (length: number) => {
      const none = Array.from({ length }, () => ({ correct: false }));
      return compareAll('gsm8k', 'd', [subject('a', none), subject('b', none), subject('c', none)]).ranking
        .sentence;
    };
    expect(ofNone(100)).toMatch(/^This benchmark is beyond all 3: accuracy is near 0/);
    // None right of 16: each may be right on one of five.
    expect(ofNone(16)).toMatch(/^All 3 pairwise differences include zero: .* is not decisive\.$/);
  });

  it('does not say that differences include zero where one does not, and correction alone takes it away', () => {
    // 17 against 5 items: p = 0.017 alone, 0.05 of three.
    const apart = (onlyOne: number) =>
      Array.from({ length: 100 }, (_, i) => ({ correct: i < 40 || (i >= 60 && i < 60 + onlyOne) }));
    const other = Array.from({ length: 100 }, (_, i) => ({ correct: i < 45 }));
    const { ranking, comparisons } = compareAll('gsm8k', 'd', [
      subject('a', apart(17)),
      subject('b', other),
      subject('c', other),
    ]);
    expect(comparisons[0]!.pValue).toBeLessThan(0.02);
    expect(comparisons[0]!.interval[1]).toBeLessThan(0);
    expect(ranking.sentence).toMatch(
      /^None of the 3 pairwise differences stands once all are tested together/,
    );
  });
});

describe('a verdict', () => {
  it('knows items that belong together: the same answers tell less in groups', () => {
    const grouped = (values: Given[]) =>
      values.map((value, i) => ({ ...value, group: `g${Math.floor(i / 25)}` }));
    // b is better on four subjects of eight, each time on most of its items.
    const a = Array.from({ length: 200 }, (_, i) => ({ correct: i % 2 === 0 }));
    const b = a.map(({ correct }, i) => ({ correct: correct || Math.floor(i / 25) % 2 === 0 }));
    const [alone] = compareSubjects('gsm8k', 'd', [subject('a', a), subject('b', b)]);
    const [together] = compareSubjects('gsm8k', 'd', [subject('a', grouped(a)), subject('b', grouped(b))]);
    expect(alone).toMatchObject({ verdict: 'b_better', groups: null, designEffect: 1, effectiveN: 200 });
    expect(together).toMatchObject({ verdict: 'cannot_tell', test: 'mcnemar_clustered', groups: 8 });
    expect(together!.designEffect).toBeGreaterThan(5);
    expect(together!.sentence).toMatch(/on 200 items of d in 8 groups, which tell as much as \d+ alone: /);
    expect(together!.detectable!).toBeGreaterThan(2 * alone!.detectable!);
  });

  it('is not decided by answers that failed: they widen the interval, and are told', () => {
    const right = (count: number, cut: number): Given[] =>
      Array.from({ length: 100 }, (_, i) => (i < cut ? { state: 'cut_off' } : { correct: i < cut + count }));
    const [whole] = compareSubjects('gsm8k', 'd', [subject('a', right(40, 0)), subject('b', right(60, 0))]);
    expect(whole!.verdict).toBe('b_better');
    const [cut] = compareSubjects('gsm8k', 'd', [subject('a', right(40, 0)), subject('b', right(30, 40))]);
    expect(cut).toMatchObject({ n: 60, ungraded: { a: 0, b: 40, items: 40 }, verdict: 'cannot_tell' });
    expect(cut!.pAdjusted).toBeLessThan(0.001);
    expect(cut!.sentence).toContain('with 40 items more without a whole answer, whatever they would be');
    const failed = Array.from({ length: 10 }, (): Given => ({ state: 'failed' }));
    const none = compareAll('gsm8k', 'd', [
      subject('a', failed),
      subject('b', right(5, 0).slice(0, 10)),
      subject('c', failed),
    ]);
    expect(none.comparisons[0]!.sentence).toBe(
      'Nothing can be told of b and a: of 10 items of d none was graded for both, since answers failed or were cut off.',
    );
    expect(none.comparisons.map(({ interval }) => interval)).toEqual([
      [-0.5, 0.5],
      [-1, 1],
      [-0.5, 0.5],
    ]);
    expect(none.comparisons[0]).toMatchObject({ detectable: null, needed: { items: null }, pAdjusted: 1 });
    expect(none.ranking.subjects.map(({ name, score }) => [name, score])).toEqual([
      ['b', 0.5],
      ['a', null],
      ['c', null],
    ]);
    const silent = Array.from({ length: 9 }, (): Given => ({ state: 'failed' }));
    expect(() => compareSubjects('perplexity', 'd', [subject('a', silent), subject('b', silent)])).toThrow(
      'Not one answer was scored for both a and b',
    );
  });

  it('that is open says what would have been seen: so it is, in 4 of 5 cases', () => {
    const random = createRandom(9);
    const n = 300;
    const world = (lead: number) => {
      const a = Array.from({ length: n }, () => random.next() < 0.5);
      // A fifth of the items differ, more of them in favor of b.
      const b = a.map((right) => (random.next() < 0.2 ? random.next() < 0.5 + lead / 0.2 : right));
      const given = (list: boolean[]) => list.map((correct) => ({ correct }));
      return compareSubjects('gsm8k', 'd', [subject('a', given(a)), subject('b', given(b))])[0]!;
    };
    const open = Array.from({ length: 20 }, () => world(0)).filter(
      ({ verdict }) => verdict === 'cannot_tell',
    );
    expect(open[0]!.outlook).toMatch(
      /^With 300 items a difference of \d+\.\d points or more is seen in 4 of 5 cases\./,
    );
    // A changed item differs in half of the cases: a discordance of a tenth.
    const lead = mean(open.map(({ detectable }) => detectable!));
    const seen = Array.from({ length: 300 }, () => world(lead)).filter(
      ({ verdict }) => verdict === 'b_better',
    );
    expect(seen.length / 300).toBeGreaterThan(0.7);
    expect(seen.length / 300).toBeLessThan(0.9);
  });

  it('of many pairs needs a greater difference: the first must pass the strictest level', () => {
    const given = (by: number) => Array.from({ length: 200 }, (_, i) => ({ correct: (i + by) % 10 < 6 }));
    const subjects = ['a', 'b', 'c', 'd'].map((name, i) => subject(name, given(i), 0, 4 + i));
    const [alone] = compareSubjects('gsm8k', 'd', subjects.slice(0, 2));
    const [among] = compareSubjects('gsm8k', 'd', subjects);
    expect(among!.difference).toBe(alone!.difference);
    // Of six tests: z of 1 - 0.05 / 12 instead of that of 0.975, each with 0.84 for the power.
    expect(among!.detectable! / alone!.detectable!).toBeCloseTo((2.638 + 0.842) / (1.96 + 0.842), 1);
    expect(among!.detectable! / alone!.detectable!).toBeGreaterThan(1.15);
  });

  it('that is open says how many items would settle it, and nothing where nothing differs', () => {
    const of = (count: number) => Array.from({ length: 200 }, (_, i) => ({ correct: i < count || i > 190 }));
    const [c] = compareSubjects('gsm8k', 'd', [subject('a', of(100)), subject('b', of(103))]);
    expect(c!.verdict).toBe('cannot_tell');
    expect(c!.needed.items).toBeGreaterThan(400);
    expect(c!.outlook).toMatch(/One of 1\.5 points, as it is here, would take about [\d,]+ items\.$/);
    const [same] = compareSubjects('gsm8k', 'd', [subject('a', of(100)), subject('b', of(100))]);
    expect(same!.outlook).toMatch(/is seen in 4 of 5 cases\.$/);
    const [clear] = compareSubjects('gsm8k', 'd', [subject('a', of(50)), subject('b', of(150))]);
    expect(clear!.outlook).toBeNull();
  });

  it('on items that are right in part goes by their shares', () => {
    const random = createRandom(3);
    const shares = Array.from({ length: 80 }, () => random.integer(8) / 10);
    const given = (more: number) => shares.map((share) => ({ correct: share + more }));
    const [c] = compareSubjects('gsm8k', 'd', [subject('a', given(0)), subject('b', given(0.2))]);
    expect(c).toMatchObject({
      metric: 'mean_score',
      test: 'wilcoxon_signed_rank',
      verdict: 'b_better',
      counts: null,
    });
    expect(c!.difference).toBeCloseTo(0.2, 12);
  });

  it('pairs items with those of an evaluation from before they had ids', () => {
    const recent = subject('b', answers(0.5, 30, 2));
    const old = { ...recent, name: 'a', items: recent.items.map((one) => ({ ...one, id: '' })) };
    expect(compareSubjects('gsm8k', 'd', [old, recent])[0]).toMatchObject({ n: 30, differing: 0 });
  });

  it('refuses items by the first id that is not the same', () => {
    const a = subject('a', answers(0.5, 10, 1));
    const b = {
      ...subject('b', answers(0.5, 10, 2)),
      items: subject('b', answers(0.5, 11, 2)).items.slice(1),
    };
    expect(() => compareSubjects('gsm8k', 'd', [a, b])).toThrow('item "task/0" is missing from b');
    const twice = { ...a, items: [...a.items, a.items[3]!] };
    expect(() => compareSubjects('gsm8k', 'd', [a, twice])).toThrow('Item "task/3" stands twice');
  });
});

describe('several benchmarks asked at once', () => {
  it('are corrected together: what stands alone may not stand among many', () => {
    const one = (onlyA: number, n = 60): Given[] =>
      Array.from({ length: n }, (_, i) => ({ correct: i < 20 || (i >= 40 && i < 40 + onlyA) }));
    const two = Array.from({ length: 60 }, (_, i) => ({ correct: i < 21 }));
    const clear = compareAll('gsm8k', 'first', [subject('a', one(9)), subject('b', two)]);
    expect(clear.comparisons[0]).toMatchObject({ verdict: 'a_better', family: 1 });
    const open = compareAll('gsm8k', 'second', [subject('a', one(0)), subject('b', two)]);
    const judged = judgeBenchmarks([clear, open, open, open]);
    expect(judged.map(({ comparisons }) => comparisons[0]!.verdict)).toEqual(Array(4).fill('cannot_tell'));
    const [first] = judged[0]!.comparisons;
    expect(first!.pAdjusted).toBeCloseTo(4 * clear.comparisons[0]!.pValue, 12);
    expect(first!.sentence).toContain('Holm over 4 pairs');
    expect(judged[0]!.ranking.isDecisive).toBe(false);
    // Once more says the same, and one benchmark alone is as it was.
    expect(judgeBenchmarks(judged)).toEqual(judged);
    expect(judgeBenchmarks([clear])).toEqual([clear]);
  });
});

describe('runs that differ by their seed alone', () => {
  const random = createRandom(21);
  /** Each run has luck of its own: half of its training. */
  const trained = (level: number, luck: number) => {
    const own = level + luck * random.normal();
    return Array.from({ length: 150 }, (_, i) => ({
      loss: 2 + own + Math.sin(i) / 3 + random.normal() / 20,
    }));
  };
  const arm = (name: string, rank: number, level: number, luck: number, seeds: number[]) =>
    seeds.map((seed) => subject(`${name}-seed-${seed}`, trained(level, luck), seed, rank));

  it('are one arm, tested over seeds and items: a lucky seed is no better method', () => {
    const subjects = [...arm('lora', 4, 0, 0.2, [0, 1, 2]), ...arm('wide', 16, 0, 0.2, [0, 1, 2])];
    const { comparisons, arms } = compareAll('perplexity', 'd', subjects);
    // Each two runs are told apart by their items.
    expect(comparisons.filter(({ verdict }) => verdict !== 'cannot_tell').length).toBeGreaterThan(10);
    expect(arms!.comparisons).toHaveLength(1);
    const [c] = arms!.comparisons;
    expect(c).toMatchObject({
      a: 'lora',
      b: 'wide',
      verdict: 'cannot_tell',
      test: 'student_seeds_items',
      seeds: { a: [0, 1, 2], b: [0, 1, 2] },
      confounders: [],
    });
    expect(c!.overSeeds!.seedError).toBeGreaterThan(c!.overSeeds!.itemError);
    expect(c!.sentence).toMatch(/Student's t over seeds and items, p = .*; 3 runs each, seeds 0, 1, 2\.$/);
    expect(c!.outlook).toMatch(
      /^With these seeds and items a difference of .* nats or more .* seeds of each\.$/,
    );
    expect(arms!.ranking.subjects.map(({ seeds }) => seeds)).toEqual([
      [0, 1, 2],
      [0, 1, 2],
    ]);
    expect(comparedSchema.parse(arms)).toEqual(arms);
  });

  it('that are better with every seed are better', () => {
    const subjects = [...arm('lora', 4, 0.3, 0.02, [0, 1, 2]), ...arm('wide', 16, 0, 0.02, [3, 4, 5])];
    const { arms } = compareAll('perplexity', 'd', subjects);
    expect(arms!.comparisons[0]).toMatchObject({
      verdict: 'b_better',
      pAdjusted: expect.any(Number) as number,
    });
    expect(arms!.comparisons[0]!.sentence).toContain('3 runs with seeds 3, 4, 5 against 3 with 0, 1, 2');
    expect(arms!.ranking.subjects[0]!.name).toBe('wide');
  });

  it('say so where an arm has one seed', () => {
    const subjects = [...arm('lora', 4, 0, 0.1, [0, 1]), ...arm('wide', 16, 0, 0.1, [0])];
    const { arms } = compareAll('perplexity', 'd', subjects);
    expect(arms!.comparisons[0]!.notes).toEqual([
      'wide-seed-0 has one run: what another seed would change of it is not covered.',
    ]);
  });

  it('say so where no item was graded for all of them', () => {
    const failed = Array.from({ length: 30 }, (): Given => ({ state: 'failed' }));
    const of = (name: string, rank: number, values: Given[]) =>
      [0, 1].map((seed) => subject(`${name}-s${seed}`, values, seed, rank));
    const { arms } = compareAll('gsm8k', 'd', [...of('x', 4, failed), ...of('y', 8, answers(0.5, 30, 1))]);
    expect(arms!.comparisons[0]!.sentence).toMatch(/^Nothing can be told of y and x: of 30 items of d none/);
    expect(arms!.ranking.subjects.map(({ name, score }) => [name, score === null])).toEqual([
      ['y', false],
      ['x', true],
    ]);
  });

  it('know no more of what failed than single runs do', () => {
    const arms = (failed: number) => {
      const of = (name: string, rank: number, share: number) =>
        [0, 1, 2].map((seed) =>
          subject(
            `${name}-s${seed}`,
            answers(share, 100, seed + rank).map((given, i): Given =>
              i < failed ? { state: 'failed' } : given,
            ),
            seed,
            rank,
          ),
        );
      return compareAll('gsm8k', 'd', [...of('x', 4, 0.3), ...of('y', 8, 0.7)]).arms!;
    };
    const { comparisons, ranking } = arms(50);
    const [low, high] = comparisons[0]!.interval;
    expect(comparisons[0]).toMatchObject({ n: 50, ungraded: { items: 50 }, verdict: 'cannot_tell' });
    expect(low).toBeLessThan(-0.25);
    expect(high).toBeGreaterThan(0.5);
    expect(high - low).toBeGreaterThan(1);
    for (const { interval, ungraded } of ranking.subjects) {
      expect(ungraded).toBe(50);
      expect(interval[1] - interval[0]).toBeGreaterThan(0.5);
    }
    expect(arms(0).comparisons[0]!.verdict).toBe('b_better');
  });

  it('have a width too where no answer differs, and accuracy stays between 0 and 1', () => {
    const same = answers(0.5, 40, 1);
    const of = (name: string, rank: number) =>
      [0, 1].map((seed) => subject(`${name}-s${seed}`, same, seed, rank));
    const { arms } = compareAll('gsm8k', 'd', [...of('x', 4), ...of('y', 8)]);
    const [c] = arms!.comparisons;
    expect([c!.a, c!.b]).toEqual(['x', 'y']);
    expect(c).toMatchObject({ verdict: 'cannot_tell', pAdjusted: 1, difference: 0 });
    expect(c!.interval[0]).toBeLessThan(-0.02);
    expect(c!.interval[1]).toBeGreaterThan(0.02);
    const all = Array.from({ length: 40 }, () => ({ correct: true }));
    const perfect = [0, 1].map((seed) => subject(`p-s${seed}`, all, seed, 2));
    const most = compareAll('gsm8k', 'd', [...of('x', 4), ...perfect]).arms!.ranking.subjects[0]!;
    expect(most.interval[1]).toBeLessThanOrEqual(1);
  });
});

it('many subjects are compared at once: 6 columns of 1,000 items', () => {
  const six = Array.from({ length: 6 }, (_, i) => subject(`s${i}`, answers(0.5 + i / 50, 1000, i), 0, 2 + i));
  compareAll('gsm8k', 'd', six);
  const begin = process.cpuUsage();
  expect(compareAll('gsm8k', 'd', six).comparisons).toHaveLength(15);
  // Measured: 40 ms.
  expect(process.cpuUsage(begin).user / 1000).toBeLessThan(150);
});
