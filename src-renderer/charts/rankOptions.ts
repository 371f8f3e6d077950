import type { Method } from '../../src-main/contract/training.ts';
import { count, percent, shortCount } from '../ui/format.ts';
import { methodSigns } from '../ui/methods.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

export interface RankSeries {
  method: Method;
  /** [rank, value], by rank. */
  points: readonly (readonly [number, number])[];
  /** The value at the current rank; null: impossible there. */
  current: number | null;
}

/** Lines by method over the rank, both axes logarithmic; the current rank stands out. */
export function rankOption(
  colors: ChartColors,
  series: readonly RankSeries[],
  { rank, unit }: { rank: number | null; unit: 'parameters' | 'percent' },
): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  const text = unit === 'percent' ? percent : shortCount;
  const largest = series.flatMap(({ points }) => points).reduce((most, [x]) => Math.max(most, x), 2);
  return {
    animation: false,
    grid: { left: 64, right: 96, top: 16, bottom: 40 },
    xAxis: {
      type: 'log',
      logBase: 2,
      min: 1,
      max: largest,
      name: 'Rank',
      nameLocation: 'middle',
      nameGap: 26,
      nameTextStyle: label,
      axisLabel: {
        ...label,
        hideOverlap: true,
        customValues: Array.from({ length: 17 }, (_, i) => 2 ** i).filter((value) => value <= largest),
        formatter: (value) => count(Math.round(value)),
      },
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'log',
      axisLabel: { ...label, formatter: (value) => text(value) },
      splitLine: { lineStyle: { color: colors.line } },
    },
    tooltip: {
      trigger: 'axis',
      ...tooltipStyle(colors),
      axisPointer: { lineStyle: { color: colors.soft } },
      formatter(params) {
        const shown = Array.isArray(params) ? params : [params];
        const place = shown[0]?.value;
        if (!Array.isArray(place)) return '';
        const at = Number(place[0]);
        const values = series.flatMap(({ method, points }) => {
          const value = points.find(([x]) => x === at)?.[1];
          return value === undefined ? [] : [{ name: methodSigns[method].label, value: text(value) }];
        });
        return readoutElement({ title: `Rank ${count(at)}`, values });
      },
    },
    series: series.flatMap(({ method, points, current }) => {
      const { label: name, color, symbol } = methodSigns[method];
      const shade = colors.of(color);
      const line = {
        type: 'line' as const,
        name,
        symbol,
        symbolSize: 6,
        data: points.map(([x, y]) => [x, y]),
        lineStyle: { color: shade, width: 1.5 },
        itemStyle: { color: shade },
        endLabel: { show: true, formatter: name, color: colors.text, fontSize: 11, lineHeight: 16 },
        labelLayout: { moveOverlap: 'shiftY' as const },
      };
      const marked = {
        type: 'line' as const,
        name: `${name} now`,
        symbol,
        symbolSize: 14,
        data: current === null || rank === null ? [] : [[rank, current]],
        itemStyle: { color: shade, borderColor: colors.surface, borderWidth: 2 },
        tooltip: { show: false },
        z: 5,
      };
      return [line, marked];
    }),
  };
}
