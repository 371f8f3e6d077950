import type { Method } from '../../src-main/contract/training.ts';
import { methodSigns } from '../ui/methods.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { expertMark, labelOffsets } from './expertMarks.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/** The mean weight of each expert of one module against the step. */
export function expertsOption(
  colors: ChartColors,
  history: readonly { step: number; mean: readonly number[] }[],
  { method, noun }: { method: Method; noun: string },
): ChartOption {
  const color = colors.of(methodSigns[method].color);
  const values = history.flatMap(({ mean }) => mean);
  const range =
    values.reduce((most, value) => Math.max(most, value), -Infinity) -
    values.reduce((least, value) => Math.min(least, value), Infinity);
  const offsets = labelOffsets(history.at(-1)?.mean ?? [], range);
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  return {
    animation: false,
    grid: { left: 8, right: 72, top: 12, bottom: 8, containLabel: true },
    xAxis: {
      type: 'value',
      min: 0,
      axisLabel: { ...label, hideOverlap: true },
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      minInterval: 1,
    },
    yAxis: {
      type: 'value',
      scale: true,
      axisLabel: label,
      splitLine: { lineStyle: { color: colors.line } },
      splitNumber: 4,
    },
    tooltip: {
      trigger: 'axis',
      ...tooltipStyle(colors),
      formatter: (params) => {
        const first = (Array.isArray(params) ? params[0] : params)?.value;
        const record = history.find(({ step }) => Array.isArray(first) && step === first[0]);
        if (!record) return '';
        return readoutElement({
          title: `step ${record.step}`,
          values: record.mean.map((value, i) => ({ name: `${noun} ${i + 1}`, value: value.toFixed(4) })),
        });
      },
    },
    series: (history[0]?.mean ?? []).map((_, i) => {
      const { shade, symbol, dash } = expertMark(i, color, colors);
      return {
        name: `${noun} ${i + 1}`,
        type: 'line',
        data: history.map(({ step, mean }) => [step, mean[i]!]),
        symbol,
        symbolSize: 5,
        lineStyle: { color: shade, width: 1.5, type: dash },
        itemStyle: { color: shade },
        endLabel: { ...label, show: true, formatter: `${noun} ${i + 1}`, offset: [0, offsets[i] ?? 0] },
      };
    }),
  };
}
