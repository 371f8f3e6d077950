import { expect, it } from 'vitest';
import { expertsOption, labelOffsets } from '../../../src-renderer/charts/expertsOption.ts';

const colors = {
  text: '#000000',
  soft: '#555555',
  line: '#dddddd',
  surface: '#ffffff',
  raised: '#ffffff',
  of: () => '#d55e00',
};

it('tells four clusters apart by shade as well as by dash and marker', () => {
  const history = [1, 2].map((step) => ({ step, mean: [0.1, 0.2, 0.3, 0.4] }));
  const option = expertsOption(colors, history, { method: 'idlora', noun: 'cluster' });
  const series = option.series as { lineStyle: { color: string; type: string }; symbol: string }[];
  expect(new Set(series.map(({ lineStyle }) => lineStyle.color)).size).toBe(4);
  expect(new Set(series.map(({ symbol }) => symbol)).size).toBe(4);
  expect(series[0]!.lineStyle.color).toBe('#d55e00');
});

it('moves labels of close ends apart, and leaves those that have room', () => {
  // 150 pixels for a range of 1: the first two lie 1.5 pixels apart, the third far below.
  const offsets = labelOffsets([0.9, 0.89, 0.1], 1);
  expect(offsets[0]).toBe(0);
  expect(offsets[1]).toBeCloseTo(13 - 1.5);
  expect(offsets[2]).toBe(0);
  expect(labelOffsets([0.5, 0.5, 0.5], 0)).toEqual([0, 13, 26]);
});
