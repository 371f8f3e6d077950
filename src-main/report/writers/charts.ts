import type { Method } from '../../contract/training.ts';
import { columnHead, columnName, megabytes, milliseconds, valueText } from '../figures.ts';
import type { Measurement, Report, ReportColumn, ReportGroup, ReportSubject } from '../report.ts';
import { escapedXml } from './xml.ts';

/** Colors by what they are for: names of CSS variables in a page, values in a file of its own. */
export interface Paint {
  text: string;
  soft: string;
  line: string;
  surface: string;
  /** Full fine-tuning is drawn in the color of text. */
  full: string;
}

/** As in every chart of the studio (Okabe and Ito), and told apart by shape, too. */
const methodColors: Readonly<Record<Exclude<Method, 'full'>, string>> = {
  lora: '#0072b2',
  dora: '#56b4e9',
  hydralora: '#009e73',
  moelora: '#cc79a7',
  idlora: '#d55e00',
};
const baseColor = '#7f7f7f';

export function colorOf(method: Method | null, paint: Paint): string {
  return method === null ? baseColor : method === 'full' ? paint.full : methodColors[method];
}

/** A drawing of a size: what stands inside it, without the element around. */
export interface Drawing {
  width: number;
  height: number;
  /** What it shows, for those who cannot see it. */
  label: string;
  body: string;
}

export function svgElement({ width, height, label, body }: Drawing): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapedXml(label)}">${body}</svg>`;
}

interface TextStyle {
  x: number;
  y: number;
  fill: string;
  size?: number;
  anchor?: 'start' | 'middle' | 'end';
  weight?: number;
  /** Drawn around the letters, where lines cross them. */
  halo?: string;
}

export function svgText(
  text: string,
  { x, y, fill, size = 11, anchor = 'start', weight, halo }: TextStyle,
): string {
  return `<text x="${round(x)}" y="${round(y)}" fill="${fill}" font-size="${size}" text-anchor="${anchor}"${weight ? ` font-weight="${weight}"` : ''}${halo ? ` stroke="${halo}" stroke-width="3" paint-order="stroke"` : ''}>${escapedXml(text)}</text>`;
}

const round = (value: number) => Math.round(100 * value) / 100;

export function line(
  from: readonly [number, number],
  to: readonly [number, number],
  stroke: string,
  rest = '',
): string {
  return `<line x1="${round(from[0])}" y1="${round(from[1])}" x2="${round(to[0])}" y2="${round(to[1])}" stroke="${stroke}"${rest}/>`;
}

export function marker(method: Method | null, x: number, y: number, paint: Paint): string {
  const fill = `fill="${colorOf(method, paint)}"`;
  const [px, py] = [round(x), round(y)];
  switch (method) {
    case 'dora':
      return `<path d="M${px} ${round(y - 6)}l6 6-6 6-6-6z" ${fill}/>`;
    case 'hydralora':
      return `<path d="M${px} ${round(y - 6)}l6 10h-12z" ${fill}/>`;
    case 'moelora':
      return `<path d="M${px} ${round(y + 6)}l6-10h-12z" ${fill}/>`;
    case 'idlora':
    case 'full':
      return `<rect x="${round(x - 4.5)}" y="${round(y - 4.5)}" width="9" height="9" rx="${method === 'full' ? 0 : 2}" ${fill}/>`;
    case 'lora':
    case null:
      return `<circle cx="${px}" cy="${py}" r="5" ${fill}/>`;
    default:
      throw new Error(`unknown method ${String(method satisfies never)}`);
  }
}

/** Round numbers within a range, about as many as asked. */
export function niceTicks(from: number, to: number, about = 5): number[] {
  const rough = (to - from) / about;
  if (!(rough > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((one) => one >= rough)!;
  const ticks: number[] = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++) ticks.push(i * step);
  return ticks;
}

function logTicks(from: number, to: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(from)); 10 ** power <= to; power++)
    for (const digit of [1, 2, 5]) {
      const tick = digit * 10 ** power;
      if (tick >= from && tick <= to) ticks.push(tick);
    }
  return ticks;
}

const sizeText = (value: number) =>
  value >= 1e9
    ? `${Number((value / 1e9).toPrecision(3))} B`
    : value >= 1e6
      ? `${Number((value / 1e6).toPrecision(3))} M`
      : value >= 1e3
        ? `${Number((value / 1e3).toPrecision(3))} k`
        : String(value);

interface Point {
  subject: ReportSubject;
  value: number;
  low: number;
  high: number;
}

/**
 * Figure 4 for one column: score over trainable parameters, logarithmic, each with its 95 % interval; points of a
 * method are joined, the base model is a dashed line. Null: nobody with parameters has a score.
 */
export function parityChart(
  column: ReportColumn,
  place: number,
  { subjects, model }: ReportGroup,
  paint: Paint,
): Drawing | null {
  const scored = subjects.flatMap((subject): Point[] => {
    const cell = subject.cells[place];
    if (!cell || cell.value === null) return [];
    return [{ subject, value: cell.value, low: cell.interval[0], high: cell.interval[1] }];
  });
  const points = scored.filter(({ subject }) => subject.trainable !== null && subject.trainable > 0);
  if (points.length === 0) return null;
  const across = scored.filter(({ subject }) => subject.trainable === null);
  const [width, height] = [480, 300];
  const box = { left: 56, right: width - 104, top: 34, bottom: height - 44 };
  const sizes = points.map(({ subject }) => subject.trainable!);
  const [least, most] = [smallest(sizes) / 1.6, largest(sizes) * 1.6];
  const bounds = scored.flatMap(({ low, high }) => [low, high]);
  const margin = 0.06 * (largest(bounds) - smallest(bounds) || 1);
  const [bottom, top] = [smallest(bounds) - margin, largest(bounds) + margin];
  const x = (size: number) =>
    box.left + ((box.right - box.left) * Math.log(size / least)) / Math.log(most / least);
  const y = (value: number) => box.bottom - ((box.bottom - box.top) * (value - bottom)) / (top - bottom);
  const text = (value: number) => valueText(column, value);
  const body = [
    svgText(columnHead(column), { x: 8, y: 16, fill: paint.text, size: 12, weight: 600 }),
    ...niceTicks(bottom, top).flatMap((tick) => [
      line([box.left, y(tick)], [box.right, y(tick)], paint.line),
      svgText(text(tick), { x: box.left - 6, y: y(tick) + 4, fill: paint.soft, anchor: 'end' }),
    ]),
    ...logTicks(least, most).map((tick) =>
      svgText(sizeText(tick), { x: x(tick), y: box.bottom + 16, fill: paint.soft, anchor: 'middle' }),
    ),
    svgText('Trainable parameters', {
      x: (box.left + box.right) / 2,
      y: height - 10,
      fill: paint.soft,
      anchor: 'middle',
    }),
    ...across.flatMap(({ value, low, high, subject }) => [
      line([box.left, y(low)], [box.right, y(low)], baseColor, ' stroke-dasharray="1 4"'),
      line([box.left, y(high)], [box.right, y(high)], baseColor, ' stroke-dasharray="1 4"'),
      line([box.left, y(value)], [box.right, y(value)], baseColor, ' stroke-dasharray="5 4"'),
      svgText(shortened(subject.name), { x: box.right + 6, y: y(value) + 4, fill: paint.soft }),
    ]),
    ...joinedPoints(
      points.map(({ subject, value }) => ({ method: subject.method, at: [x(subject.trainable!), y(value)] })),
      paint,
    ),
    ...points.flatMap(({ subject, low, high }) => {
      const [at, color] = [x(subject.trainable!), colorOf(subject.method, paint)];
      return [
        line([at, y(low)], [at, y(high)], color, ' stroke-width="1.5"'),
        line([at - 4, y(low)], [at + 4, y(low)], color, ' stroke-width="1.5"'),
        line([at - 4, y(high)], [at + 4, y(high)], color, ' stroke-width="1.5"'),
      ];
    }),
    ...points.map(({ subject, value }) => marker(subject.method, x(subject.trainable!), y(value), paint)),
    ...apartLabels(points.map((point) => ({ x: x(point.subject.trainable!), y: y(point.value), point }))).map(
      (label) =>
        svgText(shortened(label.point.subject.name), {
          x: label.x + 9,
          y: label.y + 4,
          fill: paint.text,
          halo: paint.surface,
        }),
    ),
  ];
  const told = points.map(
    ({ subject, value, low, high }) =>
      `${subject.name} ${text(value)} (${text(low)} to ${text(high)}) with ${sizeText(subject.trainable!)}`,
  );
  return {
    width,
    height,
    label: `${columnHead(column)} of ${model} over trainable parameters: ${told.join('; ')}`,
    body: body.join(''),
  };
}

/** Lines from each point of a method to its next one to the right. */
export function joinedPoints(
  points: readonly { method: Method | null; at: readonly [number, number] }[],
  paint: Paint,
): string[] {
  return [...new Set(points.map(({ method }) => method))].flatMap((method) => {
    const own = points.filter((point) => point.method === method).sort((a, b) => a.at[0] - b.at[0]);
    return own
      .slice(1)
      .map(({ at }, i) => line(own[i]!.at, at, colorOf(method, paint), ' stroke-width="1.5" opacity="0.7"'));
  });
}

/** Names that would stand over each other are moved down. */
function apartLabels<T extends { x: number; y: number }>(labels: readonly T[]): T[] {
  const placed: T[] = [];
  for (const label of [...labels].sort((a, b) => a.y - b.y)) {
    let { y } = label;
    for (const other of placed)
      if (Math.abs(other.x - label.x) < 90 && Math.abs(other.y - y) < 12) y = other.y + 12;
    placed.push({ ...label, y });
  }
  return placed;
}

/**
 * Figure 3: time of an item and memory beyond the base model's, a bar a subject, with the range where it was measured
 * more than once. Null: nothing was measured.
 */
export function costChart(
  { columns, timedColumn }: Report,
  { subjects, model }: ReportGroup,
  paint: Paint,
): Drawing | null {
  const timed = timedColumn === null ? null : columns[timedColumn]!;
  const rows = subjects.filter(({ cost }) => cost.secondsPerItem !== null);
  if (!timed || rows.length === 0) return null;
  const extra = (subject: ReportSubject): Measurement | null => {
    const { extraBytes } = subject.cost;
    return extraBytes === null ? null : { mean: extraBytes, least: extraBytes, most: extraBytes, n: 1 };
  };
  const [rowHeight, width, names] = [24, 720, 150];
  const height = 56 + rows.length * rowHeight;
  const half = (width - names) / 2;
  const panels = [
    {
      title: 'Time of an item, ms',
      left: names,
      of: (s: ReportSubject) => s.cost.secondsPerItem,
      text: milliseconds,
    },
    { title: 'Memory beyond the base model, MB', left: names + half, of: extra, text: megabytes },
  ];
  const body = panels.flatMap(({ title, left, of, text }) => {
    const most = largest(rows.map((row) => of(row)?.most ?? 0));
    const least = Math.min(0, smallest(rows.map((row) => of(row)?.least ?? 0)));
    const room = half - 90;
    const at = (value: number) => left + (most > least ? (room * (value - least)) / (most - least) : 0);
    return [
      svgText(title, { x: left, y: 40, fill: paint.soft }),
      ...rows.flatMap((row, i) => {
        const [value, y] = [of(row), 50 + i * rowHeight];
        if (!value) return [svgText('–', { x: left, y: y + 14, fill: paint.soft })];
        const [from, to] = [at(Math.min(0, value.mean)), at(Math.max(0, value.mean))];
        const range =
          value.n > 1
            ? [line([at(value.least), y + 9], [at(value.most), y + 9], paint.text, ' stroke-width="1.5"')]
            : [];
        return [
          `<rect x="${round(from)}" y="${y + 2}" width="${round(Math.max(1, to - from))}" height="14" fill="${colorOf(row.method, paint)}"/>`,
          ...range,
          svgText(text(value.mean), { x: Math.max(to, at(value.most)) + 6, y: y + 14, fill: paint.text }),
        ];
      }),
    ];
  });
  const labels = rows.map((row, i) =>
    svgText(shortened(row.name, 22), { x: 8, y: 64 + i * rowHeight, fill: paint.text }),
  );
  const told = rows.map(
    (row) =>
      `${row.name} ${milliseconds(row.cost.secondsPerItem!.mean)} ms${row.cost.extraBytes === null ? '' : `, ${megabytes(row.cost.extraBytes)} MB more than the base`}`,
  );
  return {
    width,
    height,
    label: `Time and extra memory of ${model} while scoring ${columnName(timed)}: ${told.join('; ')}`,
    body: [
      svgText(`Time and memory while scoring ${columnName(timed)}`, {
        x: 8,
        y: 16,
        fill: paint.text,
        size: 12,
        weight: 600,
      }),
      ...labels,
      ...body,
    ].join(''),
  };
}

export function shortened(text: string, most = 16): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), -Infinity);
}

function smallest(values: readonly number[]): number {
  return values.reduce((least, value) => Math.min(least, value), Infinity);
}
