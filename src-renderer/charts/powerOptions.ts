import { count } from '../ui/format.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/** The smallest difference that is seen over the number of items, both axes logarithmic, with named places on it. */
export function powerOption(
  colors: ChartColors,
  curve: readonly (readonly [number, number])[],
  given: {
    unit: string;
    places: readonly { label: string; at: readonly [number, number] }[];
    /** What is asked, and the items that it needs. */
    asked: readonly [number, number] | null;
  },
): ChartOption {
  const { unit, places, asked } = given;
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  const text = (value: number) => `${Number(value.toPrecision(2))}`;
  return {
    animation: false,
    grid: { left: 64, right: 32, top: 24, bottom: 44 },
    xAxis: {
      type: 'log',
      name: 'Test items',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: label,
      axisLabel: { ...label, hideOverlap: true, formatter: (value) => count(Math.round(value)) },
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'log',
      axisLabel: { ...label, formatter: (value) => `${text(value)} ${unit}` },
      splitLine: { lineStyle: { color: colors.line } },
    },
    tooltip: {
      trigger: 'axis',
      ...tooltipStyle(colors),
      axisPointer: { lineStyle: { color: colors.soft } },
      formatter(params) {
        const shown = Array.isArray(params) ? params : [params];
        const place = shown.map(({ value }) => value).find(Array.isArray);
        if (!place) return '';
        const value = `${Number(Number(place[1]).toPrecision(3))} ${unit}`;
        return readoutElement({
          title: `${count(Number(place[0]))} items`,
          values: [{ name: 'smallest difference', value }],
        });
      },
    },
    series: [
      {
        type: 'line',
        symbol: 'none',
        data: curve.map(([x, y]) => [x, y]),
        lineStyle: { color: colors.text, width: 2 },
      },
      {
        type: 'line',
        symbol: 'circle',
        symbolSize: 8,
        lineStyle: { width: 0 },
        // Above and below in turn: benchmarks of like size must not hide each other's name.
        data: places.map(({ label: name, at }, i) => ({
          name,
          value: [at[0], at[1]],
          label: { position: i % 2 === 0 ? 'top' : 'bottom' },
        })),
        itemStyle: { color: colors.text },
        label: { show: true, formatter: '{b}', color: colors.text, fontSize: 11 },
        tooltip: { show: false },
      },
      {
        type: 'line',
        symbol: 'diamond',
        symbolSize: 14,
        data: asked ? [[asked[0], asked[1]]] : [],
        itemStyle: { color: colors.of('--accent') },
        tooltip: { show: false },
        z: 5,
      },
    ],
  };
}
