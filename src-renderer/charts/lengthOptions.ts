import { count, percent } from '../ui/format.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/**
 * Rows by their number of tokens, the axis logarithmic where they differ much; what lies beyond the context is shaded.
 */
export function lengthOption(
  colors: ChartColors,
  bins: readonly { from: number; to: number; share: number }[],
  context: number,
): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  const least = Math.max(1, bins[0]?.from ?? 1);
  const most = Math.max(least + 1, bins.at(-1)?.to ?? 2, context);
  const points = bins.map(({ from, share }) => [Math.max(1, from), 100 * share]);
  const end = bins.at(-1);
  const right = Math.ceil(most * 1.1);
  const tallest = Math.max(1, 110 * bins.reduce((top, { share }) => Math.max(top, share), 0));
  const isWide = most > 12 * least;
  // The name of the line stands where there is room.
  const isLeft = context > Math.sqrt(least * most);
  return {
    animation: false,
    grid: { left: 56, right: 24, top: 28, bottom: 44 },
    xAxis: {
      ...(isWide ? { type: 'log' as const } : { type: 'value' as const }),
      min: least,
      max: right,
      name: 'Tokens of a row',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: label,
      axisLabel: { ...label, hideOverlap: true, formatter: (value: number) => count(Math.round(value)) },
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'value',
      max: tallest,
      axisLabel: { ...label, showMaxLabel: false, formatter: (value) => `${Math.round(value)} %` },
      splitLine: { lineStyle: { color: colors.line } },
    },
    tooltip: {
      trigger: 'axis',
      ...tooltipStyle(colors),
      axisPointer: { lineStyle: { color: colors.soft } },
      formatter(params) {
        const [shown] = Array.isArray(params) ? params : [params];
        const bin = bins[shown?.dataIndex ?? -1];
        if (!bin) return '';
        return readoutElement({
          title: `${count(bin.from + 1)} to ${count(bin.to)} tokens`,
          values: [{ name: 'of the rows', value: percent(100 * bin.share) }],
        });
      },
    },
    series: [
      {
        type: 'line',
        step: 'end',
        symbol: 'none',
        data: end ? [...points, [end.to, 100 * end.share], [end.to, 0]] : points,
        lineStyle: { color: colors.text, width: 1 },
        areaStyle: { color: colors.text, opacity: 0.15 },
      },
      {
        type: 'line',
        symbol: 'none',
        silent: true,
        tooltip: { show: false },
        lineStyle: { color: colors.text, width: 2 },
        data: [
          [context, 0],
          [context, tallest],
        ],
        endLabel: {
          ...label,
          show: true,
          color: colors.text,
          align: isLeft ? 'right' : 'left',
          offset: [isLeft ? -8 : 8, 10],
          formatter: `context ${count(context)}`,
        },
      },
      {
        type: 'line',
        symbol: 'none',
        silent: true,
        tooltip: { show: false },
        lineStyle: { width: 0 },
        areaStyle: { color: colors.soft, opacity: 0.15 },
        data: [
          [context, tallest],
          [right, tallest],
        ],
      },
    ],
  };
}
