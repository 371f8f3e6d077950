import { count, shortCount } from '../../ui/format.ts';
import { methodSigns } from '../../ui/methods.ts';
import type { ChartOption, LineSeriesOption } from '../echarts.ts';
import { readoutElement } from '../readout.ts';
import { logTicks, type ScorePoint, type TrainedPoint } from './scorePoints.ts';
import { tooltipStyle, type ChartColors } from '../theme.ts';

/**
 * Scores over trainable parameters (figure 4 of the paper), the parameters logarithmic, each with its interval. Points
 * of one method are joined; what was not trained has no place on the axis and stands as a line across it.
 */
export function scoreOption(
  colors: ChartColors,
  points: readonly TrainedPoint[],
  across: readonly ScorePoint[],
  axis: { name: string; text: (value: number) => string },
): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  const sizes = points.map(({ trainable }) => trainable);
  const from = sizes.reduce((least, size) => Math.min(least, size), Infinity) / 1.6;
  const to = sizes.reduce((most, size) => Math.max(most, size), 0) * 1.6;
  const methods = [...new Set(points.map(({ method }) => method))];
  const hasNames = points.length <= 12;
  return {
    animation: false,
    grid: { left: 16, right: 112, top: 24, bottom: 44, containLabel: true },
    xAxis: {
      type: 'log',
      min: from,
      max: to,
      name: 'Trainable parameters',
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: label,
      axisLabel: {
        ...label,
        hideOverlap: true,
        customValues: logTicks(from, to),
        formatter: (value: number) => shortCount(Math.round(value)),
      },
      axisLine: { lineStyle: { color: colors.line } },
      axisTick: { show: false },
      splitLine: { show: false },
    },
    yAxis: {
      type: 'value',
      scale: true,
      name: axis.name,
      nameTextStyle: { ...label, align: 'left' },
      axisLabel: { ...label, formatter: axis.text },
      splitLine: { lineStyle: { color: colors.line } },
    },
    tooltip: {
      trigger: 'item',
      ...tooltipStyle(colors),
      formatter(params) {
        const shown = Array.isArray(params) ? params[0] : params;
        const point = points.find(({ name }) => name === shown?.name);
        if (!point) return '';
        const { score, low, high, trainable, method } = point;
        return readoutElement({
          title: point.name,
          values: [
            { name: axis.name, value: axis.text(score) },
            { name: '95 % interval', value: `${axis.text(low)} to ${axis.text(high)}` },
            { name: 'trainable', value: count(trainable) },
            { name: 'method', value: methodSigns[method].label },
          ],
        });
      },
    },
    series: [
      ...across.map((point) => acrossLine(colors, point, [from, to])),
      ...points.map(({ method, trainable, low, high }): LineSeriesOption => {
        const color = colors.of(methodSigns[method].color);
        return {
          type: 'line',
          silent: true,
          data: [
            [trainable, low],
            [trainable, high],
          ],
          symbol: 'rect',
          symbolSize: [9, 1.5],
          lineStyle: { color, width: 1.5 },
          itemStyle: { color },
        };
      }),
      ...methods.map((method): LineSeriesOption => {
        const { label: name, color, symbol } = methodSigns[method];
        const own = points.filter((point) => point.method === method);
        return {
          type: 'line',
          name,
          symbol,
          symbolSize: 10,
          data: [...own]
            .sort((a, b) => a.trainable - b.trainable)
            .map((point) => ({ name: point.name, value: [point.trainable, point.score] })),
          lineStyle: { color: colors.of(color), width: 1.5 },
          itemStyle: { color: colors.of(color), borderColor: colors.surface, borderWidth: 1 },
          label: {
            show: hasNames,
            position: 'right',
            formatter: '{b}',
            color: colors.text,
            fontFamily: 'Inter Variable',
            fontSize: 11,
            width: 104,
            overflow: 'truncate',
          },
          labelLayout: { moveOverlap: 'shiftY' },
          z: 5,
        };
      }),
    ],
  };
}

/** A score that belongs to no number of parameters, with its interval as thin lines. */
function acrossLine(
  colors: ChartColors,
  { name, score, low, high }: ScorePoint,
  [from, to]: readonly [number, number],
): LineSeriesOption {
  const color = colors.of('--method-base');
  return {
    type: 'line',
    silent: true,
    symbol: 'none',
    // One series: the line itself, then its bounds, with gaps between them.
    data: [
      [from, low],
      [to, low],
      ['-', '-'],
      [from, high],
      [to, high],
      ['-', '-'],
      [from, score],
      [to, score],
    ],
    lineStyle: { color, width: 1, type: 'dashed' },
    endLabel: {
      show: true,
      formatter: name,
      color: colors.soft,
      fontFamily: 'Inter Variable',
      fontSize: 11,
      width: 104,
      overflow: 'truncate',
    },
  };
}
