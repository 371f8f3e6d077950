import { expect, it } from 'vitest';
import { between, moved, zoomed } from '../../../src-renderer/charts/range.ts';

const whole = { from: 0, to: 1000 };

it('zooms around a place that stays where it is', () => {
  expect(zoomed({ from: 0, to: 1000 }, whole, 0.5, 200)).toEqual({ from: 100, to: 600 });
  expect(zoomed({ from: 100, to: 600 }, whole, 2, 200)).toBeNull();
  expect(zoomed({ from: 400, to: 600 }, whole, 0.5)).toEqual({ from: 450, to: 550 });
});

it('moves as far as there are steps, without growing narrower', () => {
  expect(moved({ from: 100, to: 300 }, whole, 50.4)).toEqual({ from: 150, to: 350 });
  expect(moved({ from: 100, to: 300 }, whole, -500)).toEqual({ from: 0, to: 200 });
  expect(moved({ from: 100, to: 300 }, whole, 9999)).toEqual({ from: 800, to: 1000 });
});

it('takes two places in either order, never fewer than 8 steps, and all as null', () => {
  expect(between(700, 300, whole)).toEqual({ from: 300, to: 700 });
  expect(between(500, 501, whole)).toEqual({ from: 500, to: 508 });
  expect(between(999, 1000, whole)).toEqual({ from: 992, to: 1000 });
  expect(between(0, 1000, whole)).toBeNull();
  expect(between(1, 3, { from: 0, to: 5 })).toBeNull();
});
