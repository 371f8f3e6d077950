import type { ChartOption } from '../echarts.ts';
import { readoutElement } from '../readout.ts';
import type { ItemPair } from './scorePoints.ts';
import { tooltipStyle, type ChartColors } from '../theme.ts';

/** Each item a point: the first subject's value to the right, the second's upwards; on the diagonal they are alike. */
export function headToHeadOption(
  colors: ChartColors,
  pairs: readonly ItemPair[],
  given: { first: string; second: string; unit: string; text: (value: number) => string },
): ChartOption {
  const { first, second, unit, text } = given;
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  const values = pairs.flatMap((pair) => [pair.first, pair.second]);
  const least = values.reduce((a, b) => Math.min(a, b), Infinity);
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const margin = 0.05 * (most - least || 1);
  const [min, max] = [least - margin, most + margin];
  const axis = (name: string) => ({
    type: 'value' as const,
    min,
    max,
    name: `${name}, ${unit}`,
    nameLocation: 'middle' as const,
    nameTextStyle: label,
    axisLabel: { ...label, hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter: text },
    splitLine: { lineStyle: { color: colors.line } },
    axisLine: { lineStyle: { color: colors.line } },
    axisTick: { show: false },
  });
  return {
    animation: false,
    grid: { left: 64, right: 24, top: 16, bottom: 48 },
    xAxis: { ...axis(first), nameGap: 28 },
    yAxis: { ...axis(second), nameGap: 44 },
    tooltip: {
      trigger: 'item',
      ...tooltipStyle(colors),
      formatter(params) {
        const shown = Array.isArray(params) ? params[0] : params;
        const pair = pairs.find(({ id }) => id === shown?.name);
        if (!pair) return '';
        return readoutElement({
          title: `Item ${pair.id}`,
          values: [
            { name: first, value: text(pair.first) },
            { name: second, value: text(pair.second) },
          ],
        });
      },
    },
    series: [
      {
        type: 'line',
        silent: true,
        symbol: 'none',
        data: [
          [min, min],
          [max, max],
        ],
        lineStyle: { color: colors.soft, width: 1, type: 'dashed' },
      },
      {
        type: 'line',
        symbol: 'circle',
        symbolSize: 6,
        showAllSymbol: true,
        lineStyle: { width: 0 },
        itemStyle: { color: colors.of('--accent'), opacity: 0.55 },
        data: pairs.map((pair) => ({ name: pair.id, value: [pair.first, pair.second] })),
      },
    ],
  };
}
