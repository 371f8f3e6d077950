import { expect, it } from 'vitest';
import { loadsOf, usedExperts } from '../../../../src-renderer/features/train/run/router/routing.ts';

it('counts the experts in use by the entropy of their shares', () => {
  expect(usedExperts([0.25, 0.25, 0.25, 0.25])).toBeCloseTo(4, 10);
  expect(usedExperts([2, 2])).toBeCloseTo(2, 10);
  expect(usedExperts([1, 0, 0])).toBeCloseTo(1, 10);
  expect(usedExperts([0.9, 0.1])).toBeCloseTo(Math.exp(-0.9 * Math.log(0.9) - 0.1 * Math.log(0.1)), 10);
  expect(usedExperts([0, 0])).toBe(0);
});

it('takes the numbers of one module from those of all', () => {
  const layout = {
    experts: 2,
    sites: [
      { layer: 0, module: 'q_proj' as const },
      { layer: 0, module: 'v_proj' as const },
      { layer: 3, module: 'v_proj' as const },
    ],
  };
  const record = { step: 5, tokens: 9, mean: [1, 2, -3, 4, 5, -6], magnitude: [1, 2, 3, 3, 6, 0] };
  expect(loadsOf(layout, record, 'v_proj')).toEqual([
    { layer: 0, mean: [-3, 4], used: 2 },
    { layer: 3, mean: [5, -6], used: 1 },
  ]);
});
