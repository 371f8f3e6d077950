import { expect, it } from 'vitest';
import { queryOfRows, rowsOfQuery } from '../../../src-renderer/features/data/rows/namedRows.ts';

it.each([
  { title: 'Duplicates', indices: [0, 3, 4, 999_999], all: 5000 },
  { title: 'Overlap with test items: GSM8K & more = 1', indices: [7], all: 1 },
  // The longest rows come by their length, not by their number.
  { title: 'The longest rows', indices: [500_000, 2, 70], all: 3 },
])('rows come back from the address: $title', (named) => {
  expect(rowsOfQuery(`?${queryOfRows(named)}`)).toEqual(named);
});

it('names a thousand rows in an address that every server takes', () => {
  const indices = Array.from({ length: 1200 }, (_, i) => 833 * i);
  const query = queryOfRows({ title: 'Near duplicates', indices, all: 1200 });
  expect(query.length).toBeLessThan(4000);
  expect(rowsOfQuery(query)).toEqual({
    title: 'Near duplicates',
    indices: indices.slice(0, 1000),
    all: 1200,
  });
});

it.each([
  '',
  '?row=3',
  '?found=a',
  '?found=a&rows=',
  '?found=a&rows=1.-5',
  '?found=a&rows=1..2',
  '?found=a&rows=1.%',
])('takes no rows from %s', (query) => expect(rowsOfQuery(query)).toBeNull());
