import { describe, expect, it } from 'vitest';
import {
  cutColumns,
  filteredRows,
  mergeSettings,
  numberWidth,
  orderedRows,
  searchTexts,
  shownColumns,
  toCsv,
  toMarkdown,
  visibleRange,
  type Column,
} from '../../../src-renderer/ui/table/table.ts';

interface Row {
  name: string;
  loss: number | null;
}
const rows: Row[] = [
  { name: 'b, "second"', loss: 0.123456 },
  { name: 'a | first', loss: null },
  { name: 'run-10', loss: 2 },
  { name: 'run-9', loss: 1 },
];
const columns: Column<Row>[] = [
  { key: 'name', label: 'Run', value: ({ name }) => name },
  {
    key: 'loss',
    label: 'Loss, nats',
    value: ({ loss }) => loss,
    text: ({ loss }) => (loss === null ? '–' : loss.toFixed(2)),
    isNumber: true,
  },
  { key: 'extra', label: 'Extra', value: () => 1, isExtra: true },
  { key: 'use', label: 'Use', value: () => null, isAction: true },
];
const names = (found: readonly Row[]) => found.map(({ name }) => name);

function arrangedRows(all: Row[], filter: string, sorting: { key: string; isDescending: boolean }) {
  const ordered = orderedRows(all, columns, sorting);
  return filteredRows(ordered, searchTexts(ordered, columns), filter);
}

describe('a table', () => {
  it('sorts numbers by value, names as people count, and puts rows without a value last both ways', () => {
    const up = arrangedRows(rows, '', { key: 'loss', isDescending: false });
    expect(names(up)).toEqual(['b, "second"', 'run-9', 'run-10', 'a | first']);
    const down = arrangedRows(rows, '', { key: 'loss', isDescending: true });
    expect(names(down)).toEqual(['run-10', 'run-9', 'b, "second"', 'a | first']);
    const byName = arrangedRows(rows, 'run', { key: 'name', isDescending: false });
    expect(names(byName)).toEqual(['run-9', 'run-10']);
  });

  it('keeps rows that hold every word of the filter, in whatever column', () => {
    const by = { key: 'name', isDescending: false };
    expect(names(arrangedRows(rows, 'RUN 2.00', by))).toEqual(['run-10']);
    expect(arrangedRows(rows, 'run 0.12', by)).toEqual([]);
  });

  it('copies CSV that reads back exactly, and Markdown that shows what is shown', () => {
    const shown = shownColumns(columns, []);
    expect(toCsv(shown, rows.slice(0, 2))).toBe(
      'Run,"Loss, nats"\r\n"b, ""second""",0.123456\r\na | first,–\r\n',
    );
    expect(toMarkdown(shown, rows.slice(0, 2))).toBe(
      '| Run | Loss, nats |\n| --- | ---: |\n| b, "second" | 0.12 |\n| a \\| first | – |\n',
    );
  });

  it('shows the first column always and the others as chosen', () => {
    const keys = (toggled: string[]) => shownColumns(columns, toggled).map(({ key }) => key);
    expect(keys([])).toEqual(['name', 'loss', 'use']);
    expect(keys(['name', 'loss', 'extra'])).toEqual(['name', 'extra', 'use']);
  });

  it('makes only the rows around the window, and reaches both ends', () => {
    expect(visibleRange({ top: 0, height: 360 }, 36, 10_000)).toEqual({ start: 0, end: 18 });
    const middle = visibleRange({ top: 180_000, height: 360 }, 36, 10_000);
    expect(middle.start).toBeLessThanOrEqual(5000);
    expect(middle.end).toBeGreaterThanOrEqual(5010);
    expect(middle.end - middle.start).toBeLessThan(40);
    expect(visibleRange({ top: 359_640, height: 360 }, 36, 10_000).end).toBe(10_000);
    // A filter has left fewer rows than the scroll place knew of.
    expect(visibleRange({ top: 180_000, height: 360 }, 36, 3)).toEqual({ start: 0, end: 3 });
  });

  it('gives a column of numbers the room that its longest number needs', () => {
    expect(numberWidth(['1', '49,020,928'])).toBeGreaterThan(numberWidth(['1.234']));
    // Tabular figures of 13 pixels are narrower than this.
    expect(numberWidth(['1,234,567.8'])).toBeGreaterThanOrEqual(11 * 7.5 + 24);
  });

  it('takes from storage only what still fits the table', () => {
    const first = { key: 'name', isDescending: false };
    const merged = mergeSettings(
      {
        sorting: { key: 'gone', isDescending: true },
        toggled: ['extra', 'gone'],
        widths: { name: 300, gone: 9, loss: -4 },
      },
      columns.map(({ key }) => key),
      first,
    );
    expect(merged).toEqual({ filter: '', sorting: first, toggled: ['extra'], widths: { name: 300 } });
  });
});

describe('the edges of a table that scrolls', () => {
  const head = (left: number, right: number, isNumber = true) => ({ left, right, isNumber });

  it('cover a number of which a part is beyond them, and no text and nothing whole', () => {
    const heads = [head(60, 140), head(140, 260), head(260, 380)];
    // The first column sticks and ends at 100.
    expect(cutColumns(heads, { from: 100, to: 300 })).toEqual({ left: 40, right: 40 });
    expect(cutColumns(heads, { from: 60, to: 380 })).toEqual({ left: 0, right: 0 });
    expect(cutColumns(heads, { from: 140.4, to: 259.6 })).toEqual({ left: 0, right: 0 });
    const texts = heads.map(({ left, right }) => head(left, right, false));
    expect(cutColumns(texts, { from: 100, to: 300 })).toEqual({ left: 0, right: 0 });
  });
});
