import { count, shortCount } from '../ui/format.ts';
import type { ChartOption } from './echarts.ts';
import { readoutElement } from './readout.ts';
import { tooltipStyle, type ChartColors } from './theme.ts';

/** Modules by layers, the darker the more. @param token color of the largest value */
export function heatOption(
  colors: ChartColors,
  map: { modules: readonly string[]; layers: number; cells: readonly (readonly number[])[] },
  token: string,
): ChartOption {
  const label = { color: colors.soft, fontFamily: 'Inter Variable', fontSize: 11 };
  const values = map.cells.map(([, , value]) => value!);
  const most = values.reduce((greatest, value) => Math.max(greatest, value), 1);
  const axis = { axisLine: { show: false }, axisTick: { show: false }, axisLabel: label };
  return {
    animation: false,
    grid: { left: 92, right: 16, top: 8, bottom: 76 },
    xAxis: {
      type: 'category',
      data: Array.from({ length: map.layers }, (_, layer) => String(layer)),
      name: 'Layer',
      nameLocation: 'middle',
      nameGap: 24,
      nameTextStyle: label,
      ...axis,
    },
    yAxis: { type: 'category', data: [...map.modules], inverse: true, ...axis },
    visualMap: {
      min: 0,
      max: most,
      orient: 'horizontal',
      left: 'center',
      bottom: 0,
      itemHeight: 160,
      itemWidth: 10,
      text: [shortCount(most), '0'],
      textStyle: label,
      inRange: { color: [colors.of('--sunken'), colors.of(token)] },
      // Dragging its ends would hide cells.
      calculable: false,
      hoverLink: false,
    },
    tooltip: {
      ...tooltipStyle(colors),
      formatter(params) {
        const cell = (Array.isArray(params) ? params[0] : params)?.value;
        if (!Array.isArray(cell)) return '';
        const [layer, row, value] = cell.map(Number);
        return readoutElement({
          title: `${map.modules[row!]}, layer ${layer}`,
          values: [{ name: 'Trainable', value: count(value!) }],
        });
      },
    },
    series: [
      {
        type: 'heatmap',
        data: map.cells.map((cell) => [...cell]),
        itemStyle: { borderColor: colors.surface, borderWidth: 1 },
        emphasis: { itemStyle: { borderColor: colors.text } },
      },
    ],
  };
}
