import { expect, it } from 'vitest';
import { expertMark, labelOffsets } from '../../../src-renderer/charts/expertMarks.ts';

it('tells four clusters apart by shade as well as by marker', () => {
  const page = { text: '#000', surface: '#fff' };
  const marks = [0, 1, 2, 3].map((i) => expertMark(i, '#d55e00', page));
  expect(new Set(marks.map(({ shade }) => shade)).size).toBe(4);
  expect(new Set(marks.map(({ symbol }) => symbol)).size).toBe(4);
  expect(marks[0]!.shade).toBe('#d55e00');
  for (const { shade } of marks) expect(shade).toMatch(/^#[0-9a-f]{6}$/);
});

it('moves labels of close ends apart, and leaves those that have room', () => {
  // 150 pixels for a range of 1: the first two lie 1.5 pixels apart, the third far below.
  const offsets = labelOffsets([0.9, 0.89, 0.1], 1);
  expect(offsets[0]).toBe(0);
  expect(offsets[1]).toBeCloseTo(13 - 1.5);
  expect(offsets[2]).toBe(0);
  expect(labelOffsets([0.5, 0.5, 0.5], 0)).toEqual([0, 13, 26]);
});
