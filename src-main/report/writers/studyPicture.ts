import type { StudyColumn, StudyRecord, StudyRecordArm } from '../studyRecord.ts';
import {
  colorOf,
  joinedPoints,
  line,
  marker,
  niceTicks,
  svgElement,
  svgText,
  type Drawing,
} from './charts.ts';
import { paints } from './picture.ts';

const paint = paints.light;
const margin = 16;

/** The figure of a small study: a panel for each of its columns, settings with their 95 % intervals. */
export function studyPicture(record: StudyRecord, layout: 'rows' | 'parity'): string {
  const panels = record.columns.map((column, place) =>
    layout === 'parity' ? parityPanel(record, column, place) : rowsPanel(record, column, place),
  );
  const width = 2 * margin + panels.reduce((sum, panel) => sum + panel.width, 0);
  const height = 58 + panels.reduce((most, panel) => Math.max(most, panel.height), 0);
  let x = margin;
  const placed = panels.map((panel) => {
    const part = `<g transform="translate(${x} 50)">${panel.body}</g>`;
    x += panel.width;
    return part;
  });
  const body = [
    `<rect width="100%" height="100%" fill="${paint.surface}"/>`,
    svgText(record.title, { x: margin, y: 22, fill: paint.text, size: 14, weight: 600 }),
    svgText(`${record.model} on ${record.data}; ${record.basis}`, { x: margin, y: 40, fill: paint.soft }),
    ...placed,
  ].join('');
  const label = `${record.title}: ${panels.map((panel) => panel.label).join('. ')}`;
  return `${svgElement({ width, height, label, body }).replace('<svg ', '<svg font-family="system-ui, sans-serif" ')}\n`;
}

function valueText({ unit }: StudyColumn, value: number): string {
  if (unit === 'nats') return value.toFixed(3);
  return unit === 'percent' ? (100 * value).toFixed(0) : value.toFixed(2);
}

interface Shown {
  arm: StudyRecordArm;
  mean: number;
  low: number;
  high: number;
}

function shownOf({ arms }: StudyRecord, place: number): Shown[] {
  return arms.flatMap((arm) => {
    const cell = arm.cells[place];
    return cell ? [{ arm, mean: cell.mean, low: cell.interval[0], high: cell.interval[1] }] : [];
  });
}

/** Where values stand: wide enough for every interval. */
function rangeOf(shown: readonly Shown[], { unit }: StudyColumn): [number, number] {
  const bottom = shown.map(({ low }) => low).reduce((a, b) => Math.min(a, b));
  const top = shown.map(({ high }) => high).reduce((a, b) => Math.max(a, b));
  const padding = 0.05 * (top - bottom || 1);
  return unit === 'percent'
    ? [Math.max(0, bottom - padding), Math.min(1, top + padding)]
    : [bottom - padding, top + padding];
}

const told = (column: StudyColumn, shown: readonly Shown[]) =>
  `${column.label}: ${shown
    .map(
      ({ arm, mean, low, high }) =>
        `${arm.label} ${valueText(column, mean)} (${valueText(column, low)} to ${valueText(column, high)})`,
    )
    .join(', ')}`;

/** A row for each setting. */
function rowsPanel(record: StudyRecord, column: StudyColumn, place: number): Drawing {
  const shown = shownOf(record, place);
  const isFirst = place === 0;
  const [names, rowHeight, plot] = [isFirst ? 168 : 12, 24, 250];
  const [width, top, bottom] = [names + plot + 56, 22, 22 + shown.length * rowHeight];
  if (shown.length === 0) return { width, height: bottom + 24, label: column.label, body: '' };
  const [from, to] = rangeOf(shown, column);
  const x = (value: number) => names + (plot * (Math.min(to, Math.max(from, value)) - from)) / (to - from);
  const body = [
    svgText(column.label, { x: names, y: 12, fill: paint.text, size: 12, weight: 600 }),
    ...niceTicks(from, to, 4).flatMap((tick) => [
      line([x(tick), top], [x(tick), bottom], paint.line),
      svgText(valueText(column, tick), { x: x(tick), y: bottom + 16, fill: paint.soft, anchor: 'middle' }),
    ]),
    ...shown.flatMap(({ arm, mean, low, high }, i) => {
      const y = top + (i + 0.5) * rowHeight;
      return [
        ...(isFirst ? [svgText(arm.label, { x: 0, y: y + 4, fill: paint.text })] : []),
        ...interval([x(low), y], [x(high), y], colorOf(arm.method, paint), {
          low: low < from,
          high: high > to,
        }),
        marker(arm.method, x(mean), y, paint),
        svgText(valueText(column, mean), { x: names + plot + 8, y: y + 4, fill: paint.text }),
      ];
    }),
  ].join('');
  return { width, height: bottom + 24, label: told(column, shown), body };
}

/** What the name of a setting takes beside another one, what a size takes, and a line of text: pixels. */
const [nameWidth, sizeWidth, lineHeight] = [66, 36, 13];

/** Values over trainable parameters, the points of a method joined: the paper's figure 4. */
function parityPanel(record: StudyRecord, column: StudyColumn, place: number): Drawing {
  const shown = shownOf(record, place);
  const [width, height] = [430, 300];
  const box = { left: 48, right: width - 62, top: 40, bottom: height - 58 };
  if (shown.length === 0) return { width, height, label: column.label, body: '' };
  const sizes = shown.map(({ arm }) => arm.trainable);
  const [least, most] = [
    sizes.reduce((a, b) => Math.min(a, b)) / 1.15,
    sizes.reduce((a, b) => Math.max(a, b)) * 1.15,
  ];
  const [from, to] = rangeOf(shown, column);
  const x = (size: number) =>
    box.left + ((box.right - box.left) * Math.log(size / least)) / Math.log(most / least);
  const y = (value: number) =>
    box.bottom - ((box.bottom - box.top) * (Math.min(to, Math.max(from, value)) - from)) / (to - from);
  // Two settings of one size would hide each other.
  const aside = ({ arm }: Shown) => (arm.method === 'idlora' ? 3 : -3);
  const at = (one: Shown): [number, number] => [x(one.arm.trainable) + aside(one), y(one.mean)];
  // Above the higher of two that stand at one size, below the lower; one line further where the last name of its side
  // would be hit.
  const isHigher = (one: Shown): boolean => {
    const beside = shown.find(
      (other) => other !== one && Math.abs(x(other.arm.trainable) - x(one.arm.trainable)) < sizeWidth,
    );
    return beside ? one.mean > beside.mean : one.arm.method === 'idlora';
  };
  const last = new Map<boolean, [number, number]>();
  const labels = shown
    .toSorted((a, b) => a.arm.trainable - b.arm.trainable)
    .map((one) => {
      const isAbove = isHigher(one);
      const away = isAbove ? -1 : 1;
      const middle = at(one)[0];
      const [before, height] = last.get(isAbove) ?? [-Infinity, 0];
      let place = y(isAbove ? one.high : one.low) + (isAbove ? -6 : 14);
      if (middle - before < nameWidth && Math.abs(place - height) < lineHeight)
        place = height + away * lineHeight;
      last.set(isAbove, [middle, place]);
      return svgText(one.arm.label, {
        x: middle,
        y: place,
        anchor: 'middle',
        fill: paint.text,
        halo: paint.surface,
      });
    });
  const body = [
    svgText(column.label, { x: 0, y: 12, fill: paint.text, size: 12, weight: 600 }),
    ...niceTicks(from, to, 4).flatMap((tick) => [
      line([box.left, y(tick)], [box.right, y(tick)], paint.line),
      svgText(valueText(column, tick), { x: box.left - 6, y: y(tick) + 4, fill: paint.soft, anchor: 'end' }),
    ]),
    ...besideEachOther(sizes, x).map(({ text, at: middle }) =>
      svgText(text, { x: middle, y: box.bottom + 30, fill: paint.soft, anchor: 'middle' }),
    ),
    svgText('Trainable parameters', {
      x: (box.left + box.right) / 2,
      y: height - 8,
      fill: paint.soft,
      anchor: 'middle',
    }),
    ...joinedPoints(
      shown.map((one) => ({ method: one.arm.method, at: at(one) })),
      paint,
    ),
    ...labels,
    ...shown.flatMap((one) =>
      interval([at(one)[0], y(one.low)], [at(one)[0], y(one.high)], colorOf(one.arm.method, paint), {
        low: one.low < from,
        high: one.high > to,
      }),
    ),
    ...shown.map((one) => marker(one.arm.method, ...at(one), paint)),
  ].join('');
  return { width, height, label: told(column, shown), body };
}

/** Sizes in words at their places; those that would be written over each other as one, in the middle. */
function besideEachOther(
  sizes: readonly number[],
  x: (size: number) => number,
): { text: string; at: number }[] {
  const groups: number[][] = [];
  for (const size of [...new Set(sizes)].toSorted((a, b) => a - b)) {
    const group = groups.at(-1);
    if (group && x(size) - x(group.at(-1)!) < sizeWidth) group.push(size);
    else groups.push([size]);
  }
  return groups.map((group) => ({
    text: `${[...new Set(group.map((size) => Math.round(size / 1000)))].join('/')} k`,
    at: group.reduce((sum, size) => sum + x(size), 0) / group.length,
  }));
}

/** A line with ends across it; an end that was cut off has none. */
function interval(
  low: [number, number],
  high: [number, number],
  color: string,
  isCut: { low: boolean; high: boolean },
): string[] {
  const isUpright = low[0] === high[0];
  const end = ([x, y]: [number, number]) =>
    isUpright
      ? line([x - 4, y], [x + 4, y], color, ' stroke-width="1.5"')
      : line([x, y - 4], [x, y + 4], color, ' stroke-width="1.5"');
  return [
    line(low, high, color, ' stroke-width="1.5"'),
    ...(isCut.low ? [] : [end(low)]),
    ...(isCut.high ? [] : [end(high)]),
  ];
}
