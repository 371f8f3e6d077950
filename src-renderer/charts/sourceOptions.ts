import { sourceColor, sourceSymbols } from '../ui/sources.ts';
import { axes, onAxis, type AxisSettings } from './curveOptions.ts';
import type { ChartOption } from './echarts.ts';
import type { ChartColors } from './theme.ts';

/** The losses of one source of a mix. */
export interface SourceLine {
  name: string;
  /** Smoothed, by step. */
  trained: readonly (readonly [step: number, loss: number])[];
  heldOut: readonly (readonly [step: number, loss: number])[];
}

/** The moving average of a curve, as the loss of a whole run has it. @param weight of what was before, 0 to below 1 */
export function smoothedLine(
  points: readonly { step: number; loss: number }[],
  weight: number,
): [step: number, loss: number][] {
  let mean = points[0]?.loss ?? 0;
  return points.map(({ step, loss }) => [step, (mean = weight * mean + (1 - weight) * loss)]);
}

/** With more evaluations, their marks would run into each other. */
const mostMarks = 60;

/** Loss of each source: trained as a line, held-out dashed with marks; the end of a line carries its name. */
export function sourceOption(
  colors: ChartColors,
  lines: readonly SourceLine[],
  settings: AxisSettings & { labelWidth: number },
): ChartOption {
  return {
    ...axes(colors, settings, (value) => String(Number(value.toPrecision(4)))),
    grid: { left: 8, right: settings.labelWidth + 8, top: 16, bottom: 8, containLabel: true },
    series: lines.flatMap(({ name, trained, heldOut }, place) => {
      const color = colors.of(sourceColor(place).color);
      const endLabel = (text: string) => ({
        show: true,
        formatter: text,
        color: colors.text,
        backgroundColor: colors.surface,
        padding: [1, 3],
        fontFamily: 'Inter Variable',
        fontSize: 11,
        width: settings.labelWidth,
        overflow: 'truncate' as const,
      });
      return [
        {
          name,
          type: 'line' as const,
          data: onAxis(trained, settings),
          showSymbol: false,
          lineStyle: { color, width: 2 },
          itemStyle: { color },
          endLabel: endLabel(name),
          labelLayout: { moveOverlap: 'shiftY' as const },
        },
        {
          name: `${name}, held-out`,
          type: 'line' as const,
          data: onAxis(heldOut, settings),
          symbol: sourceSymbols[place % sourceSymbols.length]!,
          symbolSize: 6,
          showSymbol: heldOut.length < mostMarks,
          lineStyle: { color, width: 1.5, type: 'dashed' as const },
          itemStyle: { color },
          ...(heldOut.length > 0 && {
            endLabel: { ...endLabel(`${name}, held-out`), color: colors.soft },
            labelLayout: { moveOverlap: 'shiftY' as const },
          }),
        },
      ];
    }),
  };
}
