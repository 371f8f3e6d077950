import type { TensorHistogram } from '../../../src-main/contract/modelLibrary.ts';
import type { ChartOption } from '../../charts/echarts.ts';
import type { ChartColors } from '../../charts/theme.ts';

/** The middle of each bin and its share of all finite values, in percent. */
export function histogramPoints({ bins, values }: TensorHistogram): [number, number][] {
  const width = (bins.high - bins.low) / bins.counts.length;
  return bins.counts.map((count, i) => [
    bins.low + (i + 0.5) * width,
    values.count === 0 ? 0 : (100 * count) / values.count,
  ]);
}

/** A stepped outline over the values. */
export function histogramOption(histogram: TensorHistogram, colors: ChartColors): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  return {
    animation: false,
    grid: { left: 48, right: 16, top: 12, bottom: 28 },
    xAxis: {
      type: 'value',
      min: histogram.bins.low,
      max: histogram.bins.high,
      axisLabel: { ...label, hideOverlap: true, formatter: (value: number) => value.toPrecision(2) },
      axisLine: { lineStyle: { color: colors.line } },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'value',
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { ...label, formatter: (value: number) => `${value} %` },
      splitLine: { lineStyle: { color: colors.line } },
      splitNumber: 3,
    },
    series: [
      {
        type: 'line',
        step: 'middle',
        data: histogramPoints(histogram),
        showSymbol: false,
        lineStyle: { color: colors.text, width: 1.5 },
        areaStyle: { color: colors.line },
        silent: true,
      },
    ],
  };
}
