import { stored } from '../../state/stored.svelte.ts';
import type { Snippet } from 'svelte';
import { sorted, type Sorting } from './sorting.ts';

/** A column of a DataTable. */
export interface Column<T> {
  key: string;
  label: string;
  /** Sorts by this and copies numbers from it, unrounded; null: no value, comes last. */
  value(row: T): string | number | null;
  /** What is shown, filtered by and copied to Markdown; without it the value itself. */
  text?: (row: T) => string;
  /** The cell where text alone does not do. */
  cell?: Snippet<[T]>;
  isNumber?: boolean;
  /** What the column means, on hover and for screen readers. */
  definition?: string;
  /** Holds links or buttons only: neither sorted by nor copied. */
  isAction?: boolean;
  /** Not shown until it is chosen. */
  isExtra?: boolean;
  /** Pixels at first. */
  width?: number;
}

/** What a person has set at a table. */
export interface TableSettings {
  sorting: Sorting<string>;
  /** Keys of columns whose visibility differs from what it is at first. */
  toggled: string[];
  /** Pixels by column, where somebody has dragged it. */
  widths: Record<string, number>;
  /** What is looked for; kept while the page is open, so that the way back shows the same rows. */
  filter: string;
}

export const narrowestColumn = 56;
export const widestColumn = 800;

/** Settings from storage, with nothing of columns that are gone. */
export function mergeSettings(
  saved: Partial<TableSettings>,
  keys: readonly string[],
  first: Sorting<string>,
): TableSettings {
  const { sorting, toggled, widths } = saved;
  return {
    sorting:
      typeof sorting?.key === 'string' && keys.includes(sorting.key)
        ? { key: sorting.key, isDescending: sorting.isDescending === true }
        : first,
    filter: '',
    toggled: Array.isArray(toggled) ? toggled.filter((key) => keys.includes(key)) : [],
    widths: Object.fromEntries(
      Object.entries(widths ?? {}).filter(
        ([key, width]) => keys.includes(key) && Number.isFinite(width) && width >= narrowestColumn,
      ),
    ),
  };
}

/** Pixels of a digit in a table, and of what stands beside a number in its cell. */
const digitWidth = 7.5;
const cellPadding = 26;

/** Pixels that the numbers of a column need: a number that is cut is another number. */
export function numberWidth(texts: readonly string[]): number {
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
  return Math.ceil(longest * digitWidth + cellPadding);
}

export function cellText<T>(column: Column<T>, row: T): string {
  return column.text?.(row) ?? String(column.value(row) ?? '');
}

/** The columns to show: the first always, the others as chosen. */
export function shownColumns<T>(columns: readonly Column<T>[], toggled: readonly string[]): Column<T>[] {
  return columns.filter(({ key, isExtra = false }, i) => i === 0 || isExtra === toggled.includes(key));
}

/** The rows in the order that the settings ask for. */
export function orderedRows<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  sorting: Sorting<string>,
): readonly T[] {
  const by = columns.find(({ key }) => key === sorting.key);
  return by ? sorted(rows, (row) => by.value(row), sorting.isDescending) : rows;
}

/** What the filter looks through, one text for each row; made once for many letters of a filter. */
export function searchTexts<T>(rows: readonly T[], columns: readonly Column<T>[]): string[] {
  return rows.map((row) =>
    columns
      .map((column) => cellText(column, row))
      .join('\n')
      .toLowerCase(),
  );
}

/** Rows whose text holds every word of the filter. */
export function filteredRows<T>(rows: readonly T[], texts: readonly string[], filter: string): T[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((_, i) => words.every((word) => texts[i]!.includes(word)));
}

/** Rows that must stand in the page for what a scrolled window shows, `end` excluded. */
export function visibleRange(
  scroll: { top: number; height: number },
  rowHeight: number,
  total: number,
): { start: number; end: number } {
  // A few rows more, so that the arrow keys and a quick wheel find them; the first paint knows no height yet.
  const spare = 8;
  const height = scroll.height > 0 ? scroll.height : 30 * rowHeight;
  const start = Math.max(0, Math.min(total, Math.floor(scroll.top / rowHeight)) - spare);
  return { start, end: Math.min(total, Math.ceil((scroll.top + height) / rowHeight) + spare) };
}

/** A column of a scrolled table, by its head: pixels from the left of the part that is in sight. */
export interface HeadPlace {
  left: number;
  right: number;
  /** Right-aligned numbers; of a text its beginning can be read. */
  isNumber: boolean;
}

/**
 * How much of a table's part in sight is to be covered at either side, in pixels: a number of which some digits are
 * beyond the edge is another number.
 * @param heads without those that stick
 * @param inSight from the end of what sticks at the left to the right edge
 */
export function cutColumns(
  heads: readonly HeadPlace[],
  inSight: { from: number; to: number },
): { left: number; right: number } {
  const { from, to } = inSight;
  const numbers = heads.filter(({ isNumber }) => isNumber);
  // Scrolled places are fractions of a pixel.
  const isIn = (x: number) => x > from + 1 && x < to - 1;
  const first = numbers.find(({ left, right }) => left < from - 1 && isIn(right));
  const last = numbers.find(({ left, right }) => right > to + 1 && isIn(left));
  return { left: first ? first.right - from : 0, right: last ? to - last.left : 0 };
}

/** RFC 4180: numbers unrounded, texts as shown. */
export function toCsv<T>(shown: readonly Column<T>[], rows: readonly T[]): string {
  const columns = shown.filter(({ isAction }) => !isAction);
  const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const cell = (column: Column<T>, row: T) => {
    const value = column.value(row);
    return typeof value === 'number' ? String(value) : quoted(cellText(column, row));
  };
  return [
    columns.map(({ label }) => quoted(label)).join(','),
    ...rows.map((row) => columns.map((column) => cell(column, row)).join(',')),
    '',
  ].join('\r\n');
}

/** A Markdown table of what is shown. */
export function toMarkdown<T>(shown: readonly Column<T>[], rows: readonly T[]): string {
  const columns = shown.filter(({ isAction }) => !isAction);
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')).join(' | ')} |`;
  return [
    line(columns.map(({ label }) => label)),
    `|${columns.map(({ isNumber }) => (isNumber ? ' ---: ' : ' --- ')).join('|')}|`,
    ...rows.map((row) => line(columns.map((column) => cellText(column, row)))),
    '',
  ].join('\n');
}

/** By table: a page that is opened again must not get a second copy of what it keeps. */
const known = new Map<string, TableSettings>();

/** What a person has set at a table, kept over reloads. */
export function tableSettings(
  id: string,
  keys: readonly string[],
  firstSorting: Sorting<string>,
): TableSettings {
  const found = known.get(id);
  if (found) return found;
  const made = stored<TableSettings>(`studio.table.${id}`, (saved) =>
    mergeSettings(saved, keys, firstSorting),
  );
  known.set(id, made);
  return made;
}
