import type { StepMetric } from '../../src-main/contract/runRecords.ts';
import type { Method } from '../../src-main/contract/training.ts';
import type { DrawnCurves } from '../state/curves.ts';
import { methodSigns } from '../ui/methods.ts';
import type { ChartOption, LineSeriesOption } from './echarts.ts';
import type { Range } from './range.ts';
import { readoutElement, type Readout } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/** What charts of one run have in common. */
export interface CurveSettings {
  method: Method;
  /** Steps on the horizontal axis. */
  shown: Range;
  isLog: boolean;
  /** The run's values at a step. */
  readout(step: number): Readout;
}

/** More points than a chart has pixels are thinned to the extremes of each pixel. */
const sampling = 'minmax';

/** An axis of progress, by steps unless `place` labels something else. */
export interface AxisSettings extends Pick<CurveSettings, 'shown' | 'isLog' | 'readout'> {
  place?: (x: number) => string;
}

/** Points as an axis shows them: a logarithmic one has no place for zero and below. */
export function onAxis(
  points: readonly (readonly [x: number, loss: number])[],
  { isLog }: Pick<AxisSettings, 'isLog'>,
): [x: number, loss: number | null][] {
  return points.map(([x, loss]) => [x, isLog && loss <= 0 ? null : loss]);
}

/**
 * What all charts of curves have in common: an axis of steps (or another measure of progress) and a readout at the
 * pointer.
 */
export function axes(
  colors: ChartColors,
  { shown, isLog, readout, place }: AxisSettings,
  unit: (value: number) => string,
  bounds: { min: number; max: number } | null = null,
): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  return {
    animation: false,
    xAxis: {
      type: 'value',
      min: shown.from,
      max: shown.to,
      axisLabel: {
        ...label,
        hideOverlap: true,
        formatter: place ?? ((step: number) => wholeNumbers.format(step)),
      },
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      minInterval: 1,
    },
    yAxis: {
      type: isLog ? 'log' : 'value',
      scale: true,
      ...bounds,
      axisLabel: { ...label, formatter: unit },
      splitLine: { lineStyle: { color: colors.line } },
      splitNumber: 4,
    },
    tooltip: {
      trigger: 'axis',
      ...tooltipStyle(colors),
      axisPointer: { lineStyle: { color: colors.soft } },
      formatter: (params) => {
        const first = (Array.isArray(params) ? params[0] : params)?.value;
        const step = Array.isArray(first) ? Number(first[0]) : NaN;
        return Number.isNaN(step) ? '' : readoutElement(readout(step));
      },
    },
  };
}

const wholeNumbers = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 10_000) return `${value / 1000} k`;
  return size < 0.01 ? value.toExponential(1).replace('.0', '') : String(Number(value.toPrecision(4)));
}

/** Ends of a logarithmic axis, which would else reach to the next powers of ten. */
function logBounds(metrics: readonly { loss: number }[]): { min: number; max: number } | null {
  let [min, max] = [Infinity, 0];
  for (const { loss } of metrics) if (loss > 0) [min, max] = [Math.min(min, loss), Math.max(max, loss)];
  return min <= max
    ? { min: Number((min * 0.95).toPrecision(2)), max: Number((max * 1.05).toPrecision(2)) }
    : null;
}

/** Steps and their values, one after the other: of plain arrays the chart would copy every point at every update. */
function points(
  steps: readonly StepMetric[],
  value: (metric: StepMetric, i: number) => number | null,
): NonNullable<LineSeriesOption['data']> {
  const flat = new Float64Array(2 * steps.length);
  steps.forEach((metric, i) => {
    flat[2 * i] = metric.step;
    flat[2 * i + 1] = value(metric, i) ?? Number.NaN;
  });
  // The library's types know no such array; its documentation does.
  return flat as unknown as NonNullable<LineSeriesOption['data']>;
}

/** Training loss raw (faint) and smoothed (strong), held-out loss dashed; against the step. */
export function lossOption(
  colors: ChartColors,
  { steps, smoothed, evals }: DrawnCurves,
  settings: CurveSettings,
): ChartOption {
  const color = colors.of(methodSigns[settings.method].color);
  // A logarithm has no place for zero.
  const place = (value: number) => (settings.isLog && value <= 0 ? null : value);
  // The end of a line carries its name: no legend to look up.
  const endLabel = (formatter: string) => ({
    show: true,
    formatter,
    color: colors.soft,
    fontFamily: 'Inter Variable',
    fontSize: 11,
    // What labels keep between them where lines end close together.
    lineHeight: 16,
  });
  return {
    ...axes(colors, settings, shortNumber, settings.isLog ? logBounds([...steps, ...evals]) : null),
    grid: { left: 8, right: 72, top: 16, bottom: 8, containLabel: true },
    series: [
      {
        name: 'Training loss',
        type: 'line',
        data: points(steps, ({ loss }) => place(loss)),
        showSymbol: false,
        sampling,
        lineStyle: { color, width: 1, opacity: 0.3 },
        itemStyle: { color },
      },
      {
        name: 'Training loss, smoothed',
        type: 'line',
        data: points(steps, ({ loss }, i) => place(smoothed[i] ?? loss)),
        showSymbol: false,
        sampling,
        lineStyle: { color, width: 2 },
        itemStyle: { color },
        endLabel: endLabel('training'),
        labelLayout: { moveOverlap: 'shiftY' },
      },
      {
        name: 'Held-out loss',
        type: 'line',
        data: evals.map((metric) => [metric.step, place(metric.loss)]),
        symbol: methodSigns[settings.method].symbol,
        symbolSize: 6,
        showSymbol: evals.length < 200,
        lineStyle: { color: colors.text, width: 1.5, type: 'dashed' },
        itemStyle: { color: colors.text },
        endLabel: endLabel('held-out'),
        labelLayout: { moveOverlap: 'shiftY' },
      },
    ],
  };
}

/** A noisy curve with more points would fill a small chart: its line is thinner. */
const denseFrom = 300;

/** A number per step, as a small chart shows it. */
export interface SmallMetric {
  name: string;
  value: (metric: StepMetric) => number | null;
  format: (value: number) => string;
  /** Labels of the axis; absent: plain numbers. */
  unit?: (value: number) => string;
  isNoisy?: boolean;
}

/** One small curve of a run. */
export function smallOption(
  colors: ChartColors,
  steps: readonly StepMetric[],
  metric: SmallMetric,
  settings: CurveSettings,
): ChartOption {
  const color = colors.of(methodSigns[settings.method].color);
  return {
    ...axes(colors, { ...settings, isLog: false }, metric.unit ?? shortNumber),
    grid: { left: 4, right: 12, top: 8, bottom: 4, containLabel: true },
    series: [
      {
        name: metric.name,
        type: 'line',
        data: points(steps, metric.value),
        showSymbol: false,
        sampling,
        lineStyle:
          metric.isNoisy && steps.length > denseFrom
            ? { color, width: 1, opacity: 0.6 }
            : { color, width: 1.5 },
        itemStyle: { color },
      },
    ],
  };
}
