import { expect, it } from 'vitest';
import { stallOf, withStep, type Pace } from '../../../src-renderer/state/pace.ts';

/** A run with a step every `everyMs`, the tenth at `at`. */
function steady(everyMs: number, at: number): Pace {
  let pace: Pace = { seen: [] };
  for (let step = 1; step <= 10; step++) pace = withStep(pace, step, at - (10 - step) * everyMs);
  return pace;
}

it('says for how long no step has come once that is unusual, and what is usual', () => {
  const pace = steady(500, 60_000);
  expect(stallOf(pace, 69_000)).toBeNull();
  expect(stallOf(pace, 75_000)).toEqual({ sinceMs: 15_000, usualMs: 500 });
});

it('calls no step late that simply takes long', () => {
  const pace = steady(5000, 60_000);
  expect(stallOf(pace, 84_000)).toBeNull();
  expect(stallOf(pace, 86_000)).toEqual({ sinceMs: 26_000, usualMs: 5000 });
});

it('says nothing before two steps have been seen', () => {
  expect(stallOf({ seen: [] }, 1e9)).toBeNull();
  expect(stallOf({ seen: [{ at: 0, step: 1 }] }, 1e9)).toBeNull();
});
