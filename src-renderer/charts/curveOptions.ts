import type { EvalMetric, StepMetric } from '../../src-main/contract/entities.ts';
import type { Method } from '../../src-main/contract/training.ts';
import { methodSigns } from '../ui/methods.ts';
import type { ChartOption } from './echarts.ts';
import { smooth } from './smoothing.ts';
import type { ChartColors } from './theme.ts';

function axes(colors: ChartColors, totalSteps: number | null, isLog: boolean): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  return {
    animation: false,
    xAxis: {
      type: 'value',
      min: 0,
      ...(totalSteps ? { max: totalSteps } : {}),
      axisLabel: label,
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      minInterval: 1,
    },
    yAxis: {
      type: isLog ? 'log' : 'value',
      scale: true,
      axisLabel: { ...label, formatter: shortNumber },
      splitLine: { lineStyle: { color: colors.line } },
      splitNumber: 4,
    },
    tooltip: {
      trigger: 'axis',
      transitionDuration: 0,
      backgroundColor: colors.raised,
      borderColor: colors.line,
      textStyle: { color: colors.text, fontFamily: 'Inter Variable', fontSize: 12 },
      axisPointer: { lineStyle: { color: colors.soft } },
    },
  };
}

function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 10_000) return `${value / 1000} k`;
  return size < 0.01 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
}

/** Training loss raw (faint) and smoothed (strong), held-out loss dashed; against the step. */
export function lossOption(
  colors: ChartColors,
  curves: { steps: readonly StepMetric[]; evals: readonly EvalMetric[] },
  settings: { method: Method; totalSteps: number | null; smoothing: number; isLog: boolean },
): ChartOption {
  const { steps, evals } = curves;
  const color = colors.of(methodSigns[settings.method].color);
  const smoothed = smooth(
    steps.map((metric) => metric.loss),
    settings.smoothing,
  );
  const digits = (value: unknown) => (typeof value === 'number' ? `${value.toFixed(4)} nats` : '');
  // The end of a line carries its name: no legend to look up.
  const endLabel = (formatter: string) => ({
    show: true,
    formatter,
    color: colors.soft,
    fontFamily: 'Inter Variable',
    fontSize: 11,
  });
  return {
    ...axes(colors, settings.totalSteps, settings.isLog),
    grid: { left: 8, right: 72, top: 16, bottom: 8, containLabel: true },
    dataZoom: [{ type: 'inside', filterMode: 'none' }],
    series: [
      {
        name: 'Training loss',
        type: 'line',
        data: steps.map((metric) => [metric.step, metric.loss]),
        showSymbol: false,
        sampling: 'lttb',
        lineStyle: { color, width: 1, opacity: 0.3 },
        itemStyle: { color },
        tooltip: { valueFormatter: digits },
      },
      {
        name: 'Training loss, smoothed',
        type: 'line',
        data: steps.map((metric, i) => [metric.step, smoothed[i]!]),
        showSymbol: false,
        sampling: 'lttb',
        lineStyle: { color, width: 2 },
        itemStyle: { color },
        endLabel: endLabel('training'),
        labelLayout: { moveOverlap: 'shiftY' },
        tooltip: { valueFormatter: digits },
      },
      {
        name: 'Held-out loss',
        type: 'line',
        data: evals.map((metric) => [metric.step, metric.loss]),
        symbol: methodSigns[settings.method].symbol,
        symbolSize: 6,
        lineStyle: { color: colors.text, width: 1.5, type: 'dashed' },
        itemStyle: { color: colors.text },
        endLabel: endLabel('held-out'),
        labelLayout: { moveOverlap: 'shiftY' },
        tooltip: { valueFormatter: digits },
      },
    ],
  };
}

/** One small curve of a run. */
export function smallOption(
  colors: ChartColors,
  steps: readonly StepMetric[],
  value: (metric: StepMetric) => number,
  settings: { name: string; method: Method; totalSteps: number | null; format: (value: number) => string },
): ChartOption {
  const color = colors.of(methodSigns[settings.method].color);
  return {
    ...axes(colors, settings.totalSteps, false),
    grid: { left: 4, right: 12, top: 8, bottom: 4, containLabel: true },
    series: [
      {
        name: settings.name,
        type: 'line',
        data: steps.map((metric) => [metric.step, value(metric)]),
        showSymbol: false,
        sampling: 'lttb',
        lineStyle: { color, width: 1.5 },
        itemStyle: { color },
        tooltip: {
          valueFormatter: (given) => (typeof given === 'number' ? settings.format(given) : ''),
        },
      },
    ],
  };
}
