import type { Method } from '../../src-main/contract/training.ts';
import { methodSigns } from '../ui/methods.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/** Told apart by dash, marker and shade, since all have the color of their method. */
const dashes = ['solid', 'dashed', 'dotted'] as const;
/** How far the color goes towards the text (above 0) or the surface (below). */
const shades = [0, 0.5, -0.4, 0.85];
const markers = ['circle', 'rect', 'triangle', 'diamond'] as const;

/** Pixels between two labels, and of the plot that holds them at least. */
const labelHeight = 13;
const plotHeight = 150;

function mixed(color: string, other: string, share: number): string {
  const part = (hex: string, at: number) => Number.parseInt(hex.slice(at, at + 2), 16);
  const channel = (at: number) => Math.round((1 - share) * part(color, at) + share * part(other, at));
  return `#${[1, 3, 5].map((at) => channel(at).toString(16).padStart(2, '0')).join('')}`;
}

/** Pixels by which the labels at the ends of lines move down, so that none lies on another. */
export function labelOffsets(ends: readonly number[], range: number): number[] {
  const unit = range > 0 ? plotHeight / range : 0;
  const offsets = ends.map(() => 0);
  let last = -Infinity;
  // From the top down: screens count that way.
  for (const { value, i } of ends.map((value, i) => ({ value, i })).sort((a, b) => b.value - a.value)) {
    const wanted = -value * unit;
    const placed = Math.max(wanted, last + labelHeight);
    offsets[i] = placed - wanted;
    last = placed;
  }
  return offsets;
}

/** The mean weight of each expert of one module against the step. */
export function expertsOption(
  colors: ChartColors,
  history: readonly { step: number; mean: readonly number[] }[],
  { method, noun }: { method: Method; noun: string },
): ChartOption {
  const color = colors.of(methodSigns[method].color);
  const shadeOf = (i: number) => {
    const share = shades[i % shades.length]!;
    return mixed(color, share > 0 ? colors.text : colors.surface, Math.abs(share));
  };
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
    series: (history[0]?.mean ?? []).map((_, i) => ({
      name: `${noun} ${i + 1}`,
      type: 'line',
      data: history.map(({ step, mean }) => [step, mean[i]!]),
      symbol: markers[i % markers.length]!,
      symbolSize: 5,
      lineStyle: { color: shadeOf(i), width: 1.5, type: dashes[i % dashes.length]! },
      itemStyle: { color: shadeOf(i) },
      endLabel: { ...label, show: true, formatter: `${noun} ${i + 1}`, offset: [0, offsets[i] ?? 0] },
    })),
  };
}
