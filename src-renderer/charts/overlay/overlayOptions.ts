import type { Method } from '../../../src-main/contract/training.ts';
import { methodSigns } from '../../ui/methods.ts';
import { axes, onAxis, type AxisSettings } from '../curveOptions.ts';
import type { ChartOption } from '../echarts.ts';
import type { ChartColors } from '../theme.ts';

/** One run's curves on a shared axis. */
export interface OverlaidRun {
  name: string;
  method: Method;
  /** Place on the horizontal axis and loss, smoothed. */
  line: readonly (readonly [x: number, loss: number])[];
  heldOut: readonly (readonly [x: number, loss: number])[];
}

/** Markers along a line, so that methods are told apart without colors. */
const markersPerLine = 8;

/**
 * Loss curves of several runs: color and marker say the method, the end of a line its run, dashes the held-out loss.
 */
export function overlayOption(
  colors: ChartColors,
  runs: readonly OverlaidRun[],
  settings: AxisSettings & { labelWidth: number },
): ChartOption {
  return {
    ...axes(colors, settings, (value) => String(Number(value.toPrecision(4)))),
    grid: { left: 8, right: settings.labelWidth + 8, top: 16, bottom: 8, containLabel: true },
    series: runs.flatMap((run) => {
      const sign = methodSigns[run.method];
      const color = colors.of(sign.color);
      const every = Math.max(1, Math.ceil(run.line.length / markersPerLine));
      return [
        {
          name: run.name,
          type: 'line' as const,
          data: onAxis(run.line, settings),
          showAllSymbol: true,
          symbol: (_value: unknown, { dataIndex }: { dataIndex: number }) =>
            dataIndex % every === Math.floor(every / 2) ? sign.symbol : 'none',
          symbolSize: 7,
          lineStyle: { color, width: 2 },
          itemStyle: { color },
          endLabel: {
            show: true,
            formatter: run.name,
            color: colors.text,
            // A run that ends before others has its name among their lines.
            backgroundColor: colors.surface,
            padding: [1, 3],
            fontFamily: 'Inter Variable',
            fontSize: 11,
            width: settings.labelWidth,
            overflow: 'truncate' as const,
          },
          labelLayout: { moveOverlap: 'shiftY' as const },
        },
        {
          name: `${run.name}, held-out`,
          type: 'line' as const,
          data: onAxis(run.heldOut, settings),
          symbol: sign.symbol,
          symbolSize: 5,
          showSymbol: run.heldOut.length < 60,
          lineStyle: { color, width: 1.5, type: 'dashed' as const },
          itemStyle: { color },
        },
      ];
    }),
  };
}
