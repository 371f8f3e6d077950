import { HeatmapChart, LineChart } from 'echarts/charts';
import { GridComponent, TooltipComponent, VisualMapComponent } from 'echarts/components';
import { init, use, type ComposeOption, type ECharts } from 'echarts/core';
import { LabelLayout } from 'echarts/features';
import { CanvasRenderer, SVGRenderer } from 'echarts/renderers';
import type { HeatmapSeriesOption, LineSeriesOption } from 'echarts/charts';
import type {
  GridComponentOption,
  TooltipComponentOption,
  VisualMapComponentOption,
} from 'echarts/components';

// Only what the page draws goes into the bundle. SVG is for saving a chart.
use([
  LineChart,
  HeatmapChart,
  GridComponent,
  TooltipComponent,
  VisualMapComponent,
  LabelLayout,
  CanvasRenderer,
  SVGRenderer,
]);

export type ChartOption = ComposeOption<
  | LineSeriesOption
  | HeatmapSeriesOption
  | GridComponentOption
  | TooltipComponentOption
  | VisualMapComponentOption
>;
export { init, type ECharts, type LineSeriesOption };

/** Milliseconds of a frame that charts may take; the rest is left for whoever clicks. */
const budgetMs = 10;

const waiting = new Set<() => void>();
let isAsked = false;

/**
 * Does something in one of the next frames, in turn: several charts that are made or get new numbers at once would else
 * keep a click waiting for all of them. @returns what takes it back
 */
export function inTurn(work: () => void): () => void {
  waiting.add(work);
  ask();
  return () => waiting.delete(work);
}

function ask(): void {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    const begin = performance.now();
    for (const work of waiting) {
      waiting.delete(work);
      work();
      if (performance.now() - begin > budgetMs) break;
    }
    if (waiting.size > 0) ask();
  });
}
