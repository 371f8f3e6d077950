import type { Method } from '../../src-main/contract/training.ts';
import { methodSigns } from '../ui/methods.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/** Told apart by dash and marker, since all have the color of their method. */
const dashes = ['solid', 'dashed', 'dotted'] as const;
const markers = ['circle', 'rect', 'triangle', 'diamond'] as const;

/** The mean weight of each expert of one module against the step. */
export function expertsOption(
  colors: ChartColors,
  history: readonly { step: number; mean: readonly number[] }[],
  { method, noun }: { method: Method; noun: string },
): ChartOption {
  const color = colors.of(methodSigns[method].color);
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
    series: (history[0]?.mean ?? []).map((_, i) => ({
      name: `${noun} ${i + 1}`,
      type: 'line',
      data: history.map(({ step, mean }) => [step, mean[i]!]),
      symbol: markers[i % markers.length]!,
      symbolSize: 5,
      lineStyle: { color, width: 1.5, type: dashes[Math.floor(i / markers.length) % dashes.length]! },
      itemStyle: { color },
      endLabel: { ...label, show: true, formatter: `${noun} ${i + 1}` },
      labelLayout: { moveOverlap: 'shiftY' },
    })),
  };
}
