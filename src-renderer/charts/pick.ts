import type { ECharts } from './echarts.ts';

/**
 * Lets a pointer choose a place on the horizontal axis: a click, or a drag along it.
 * @param pick gets the axis value under the pointer
 * @returns what takes the gesture away again
 */
export function attachPick(element: HTMLElement, chart: ECharts, pick: (value: number) => void): () => void {
  let isPicking = false;
  const take = (event: PointerEvent) => {
    const { left, top } = element.getBoundingClientRect();
    const place = [event.clientX - left, event.clientY - top];
    if (!isPicking && !chart.containPixel({ gridIndex: 0 }, place)) return false;
    const value = chart.convertFromPixel({ xAxisIndex: 0 }, place[0]!) as unknown as number;
    if (Number.isFinite(value)) pick(value);
    return true;
  };
  const down = (event: PointerEvent) => {
    if (event.button !== 0 || !take(event)) return;
    isPicking = true;
    element.setPointerCapture(event.pointerId);
  };
  const move = (event: PointerEvent) => {
    if (isPicking) take(event);
  };
  const end = () => (isPicking = false);
  element.addEventListener('pointerdown', down);
  element.addEventListener('pointermove', move);
  element.addEventListener('pointerup', end);
  element.addEventListener('pointercancel', end);
  return () => {
    element.removeEventListener('pointerdown', down);
    element.removeEventListener('pointermove', move);
    element.removeEventListener('pointerup', end);
    element.removeEventListener('pointercancel', end);
  };
}
