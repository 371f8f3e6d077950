import { expect, it } from 'vitest';
import type { Comparison } from '../../src-main/contract/evaluation/comparison.ts';
import { compareSubjects } from '../../src-main/evaluation/compare.ts';
import { settle, type SettlingGround } from '../../src-main/evaluation/settle.ts';
import { sampleItem } from '../support/sampleEvaluation.ts';

/** Two subjects on n items, of which each got some alone right. */
function compared(n: number, onlyA: number, onlyB: number): Comparison {
  const base = { modelId: 'm', name: 'm', hash: null };
  const graded = (name: string, isRight: (i: number) => boolean) => ({
    name,
    run: null,
    base,
    dataHash: 'd',
    items: Array.from({ length: n }, (_, i) => sampleItem(i, { correct: isRight(i) })),
  });
  return compareSubjects('gsm8k', 'test.jsonl', [
    graded('a', (i) => i < onlyA),
    graded('b', (i) => i >= n - onlyB),
  ])[0]!;
}
const ground = (rest: Partial<SettlingGround>): SettlingGround => ({
  available: 1319,
  problem: null,
  secondsPerItem: 0.5,
  seedProblem: null,
  secondsPerSeed: 60,
  ...rest,
});

it('names the items that the difference needs, and the time of those that are not scored yet', () => {
  const open = compared(100, 4, 10);
  expect(open.verdict).toBe('cannot_tell');
  const needed = open.needed.items!;
  expect(needed).toBeGreaterThan(100);
  expect(needed).toBeLessThan(1319);
  const plan = settle(open, ground({}));
  expect(plan).toMatchObject({ step: 'items', size: needed, seconds: (needed - 100) * 0.5 });
  expect(plan.sentence).toContain(`About ${needed} of each show a difference of this size in 4 of 5 cases.`);
  expect(plan.sentence).toContain('min here');
});

it('says that no number of items in the data suffices where they are too few', () => {
  const open = compared(100, 5, 7);
  expect(open.needed.items!).toBeGreaterThan(1000);
  const few = settle(open, ground({ available: 300 }));
  expect(few).toMatchObject({ step: 'items', size: 300 });
  expect(few.sentence).toContain('no number of items in these data suffices');
  const all = settle(open, ground({ available: 100 }));
  // Runs that answer all items anew are at best worth the items that are missing.
  expect(all).toMatchObject({ step: open.needed.items! > 2000 ? 'none' : 'seeds' });
  expect(all.sentence).toContain('no number of items in these data suffices');
});

it('goes on with seeds where all items are scored, and says why where there can be none', () => {
  const open = compared(100, 3, 9);
  const plan = settle(open, ground({ available: 100 }));
  expect(plan.step).toBe('seeds');
  expect(plan.size).toBeGreaterThanOrEqual(3);
  expect(plan.seconds).toBe(plan.size * (60 + 50));
  const none = settle(open, ground({ available: 100, seedProblem: 'One was not trained here.' }));
  expect(none).toMatchObject({ step: 'none', seconds: null });
  expect(none.sentence).toContain('One was not trained here.');
});

it('scores all items where no difference was seen, and as many again where enough were scored', () => {
  const same = compared(50, 0, 0);
  expect(settle(same, ground({})).size).toBe(1319);
  expect(settle(same, ground({})).sentence).toContain('is not known, since no difference was seen');
  const unlucky = { ...compared(100, 4, 10), needed: { items: 90, seeds: null } };
  expect(settle(unlucky, ground({}))).toMatchObject({ step: 'items', size: 200 });
  expect(settle(unlucky, ground({})).sentence).toContain('this may be the fifth');
});

it('counts seeds where arms of several are compared', () => {
  const arms: Comparison = {
    ...compared(100, 4, 10),
    seeds: { a: [0, 1, 2], b: [0, 1, 2] },
    overSeeds: { error: 0.02, freedom: 4, seedError: 0.02, itemError: 0.01, deviation: 0.03 },
    needed: { items: null, seeds: 7 },
  };
  const plan = settle(arms, ground({}));
  expect(plan).toMatchObject({ step: 'seeds', size: 4, neededSeeds: 7, seconds: 4 * (60 + 0.5 * 100) });
  expect(settle({ ...arms, needed: { items: null, seeds: 400 } }, ground({})).sentence).toContain(
    'a study of their own',
  );
  expect(settle({ ...arms, needed: { items: null, seeds: null } }, ground({})).step).toBe('none');
});

it('says that time is not known where nothing was measured, and stands where there is a verdict', () => {
  const plan = settle(compared(100, 4, 10), ground({ secondsPerItem: null }));
  expect(plan.seconds).toBeNull();
  expect(plan.sentence).toContain('nothing like it was measured');
  expect(settle({ ...compared(100, 4, 10), verdict: 'b_better' }, ground({})).step).toBe('none');
  expect(settle(compared(100, 4, 10), ground({ problem: 'Asked by an older studio.' })).sentence).toBe(
    'Asked by an older studio.',
  );
});
