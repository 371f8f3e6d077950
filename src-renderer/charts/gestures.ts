import type { ECharts } from './echarts.ts';
import { between, moved, zoomed, type Range } from './range.ts';

/** What of a chart's steps is shown, and how that is changed. */
export interface Zoom {
  /** Null: everything. */
  range: Range | null;
  whole: Range;
  set(range: Range | null): void;
}

/** Pixels that a pointer moves before a click becomes a drag. */
const dragThreshold = 4;

/**
 * Zooms and moves a chart's horizontal axis: the wheel zooms around the pointer (sideways or with Shift it moves), a
 * drag marks the range to show, a drag with Shift, with the middle button or by touch moves, a double click shows
 * everything.
 *
 * @param zoom as it is at the moment of a gesture
 * @param showBrush the marked stretch in pixels, null once it is gone
 * @returns what takes the gestures away again
 */
export function attachGestures(
  element: HTMLElement,
  chart: ECharts,
  zoom: () => Zoom,
  showBrush: (marked: { left: number; width: number } | null) => void,
): () => void {
  const shown = () => zoom().range ?? zoom().whole;
  const pixel = (event: MouseEvent) => event.clientX - element.getBoundingClientRect().left;
  const stepAt = (x: number) => chart.convertFromPixel({ xAxisIndex: 0 }, x) as unknown as number;
  const stepsPerPixel = () => (stepAt(101) - stepAt(1)) / 100;
  let drag: { x: number; isPan: boolean; range: Range; scale: number; isMoving: boolean } | null = null;

  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    const { whole, set } = zoom();
    const range = shown();
    const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      set(moved(range, whole, sideways * stepsPerPixel()));
      return;
    }
    const at = Math.min(Math.max(stepAt(pixel(event)), range.from), range.to);
    set(zoomed(range, whole, Math.exp(Math.min(1, Math.max(-1, event.deltaY / 400))), at));
  };
  const down = (event: PointerEvent) => {
    if (event.button > 1) return;
    const isPan = event.shiftKey || event.button === 1 || event.pointerType === 'touch';
    drag = { x: pixel(event), isPan, range: shown(), scale: stepsPerPixel(), isMoving: false };
  };
  const move = (event: PointerEvent) => {
    if (!drag) return;
    const x = pixel(event);
    if (!drag.isMoving && Math.abs(x - drag.x) < dragThreshold) return;
    if (!drag.isMoving) element.setPointerCapture(event.pointerId);
    drag.isMoving = true;
    if (drag.isPan) zoom().set(moved(drag.range, zoom().whole, (drag.x - x) * drag.scale));
    else showBrush({ left: Math.min(x, drag.x), width: Math.abs(x - drag.x) });
  };
  const up = (event: PointerEvent) => {
    if (drag?.isMoving && !drag.isPan) {
      const { whole, set } = zoom();
      const { from, to } = shown();
      const within = (x: number) => Math.min(Math.max(stepAt(x), from), to);
      set(between(within(drag.x), within(pixel(event)), whole));
    }
    cancel();
  };
  const cancel = () => {
    drag = null;
    showBrush(null);
  };
  const reset = () => zoom().set(null);

  element.addEventListener('wheel', wheel, { passive: false });
  element.addEventListener('pointerdown', down);
  element.addEventListener('pointermove', move);
  element.addEventListener('pointerup', up);
  element.addEventListener('pointercancel', cancel);
  element.addEventListener('dblclick', reset);
  return () => {
    element.removeEventListener('wheel', wheel);
    element.removeEventListener('pointerdown', down);
    element.removeEventListener('pointermove', move);
    element.removeEventListener('pointerup', up);
    element.removeEventListener('pointercancel', cancel);
    element.removeEventListener('dblclick', reset);
  };
}

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
