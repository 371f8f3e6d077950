import { describe, expect, it } from 'vitest';
import {
  filteredItems,
  filterOf,
  itemRows,
  outcomeCounts,
  withFilter,
} from '../../../../src-renderer/features/evaluate/items/itemRows.ts';
import { leastTime } from '../../../support/patience.ts';
import { sampleItem } from '../../../support/sampleEvaluation.ts';

const a = [
  sampleItem(0, { correct: true, question: 'two apples', target: '2', output: 'It is 2', group: 'x' }),
  sampleItem(1, { correct: false, question: 'three', target: '3', output: 'It is 4', group: 'y' }),
  sampleItem(2, { correct: true, question: 'four', target: '4', output: 'four', group: 'y' }),
  sampleItem(3, { correct: null, state: 'cut_off', question: 'five', target: '5', output: '', group: 'y' }),
];
// In another order: items are paired by their ids.
const b = [
  sampleItem(2, { correct: false, output: 'five' }),
  sampleItem(1, { correct: false, output: '9' }),
  sampleItem(0, { correct: true, output: '2' }),
  sampleItem(3, { correct: true, output: '5' }),
];
const none = { show: null, group: null, text: '' } as const;

describe('items side by side', () => {
  const rows = itemRows([a, b]);
  const ids = (filter: Partial<Parameters<typeof filteredItems>[1]>) =>
    filteredItems(rows, { ...none, ...filter }).map(({ id }) => id);

  it('are paired by id and classed by their grades; what was not graded is in no other class', () => {
    expect(rows.map(({ id, outcome }) => [id, outcome])).toEqual([
      ['0', 'all_right'],
      ['1', 'all_wrong'],
      ['2', 'differ'],
      ['3', 'ungraded'],
    ]);
    expect(outcomeCounts(rows, 2)).toEqual({
      all_right: 1,
      all_wrong: 1,
      differ: 1,
      ungraded: 1,
      only: [1, 0],
    });
  });

  it('are filtered by class, group, words and expressions', () => {
    expect(ids({ show: 'differ' })).toEqual(['2']);
    expect(ids({ show: 'only 0' })).toEqual(['2']);
    expect(ids({ show: 'only 1' })).toEqual([]);
    expect(ids({ group: 'y' })).toEqual(['1', '2', '3']);
    expect(ids({ text: 'apples TWO' })).toEqual(['0']);
    expect(ids({ text: '/it is \\d/i' })).toEqual(['0', '1']);
    // No expression: looked for as it stands.
    expect(ids({ text: '/(/' })).toEqual([]);
  });

  it('the filter lives in the address', () => {
    const filter = { show: 'only 1', group: 'y', text: 'a b' } as const;
    const query = withFilter(new URLSearchParams('e=1,2'), filter);
    expect(query.get('e')).toBe('1,2');
    expect(filterOf(query)).toEqual(filter);
    expect(withFilter(query, none).toString()).toBe('e=1%2C2');
    expect(filterOf(new URLSearchParams('show=nonsense'))).toEqual(none);
  });

  it('an item that one subject was not asked is not compared', () => {
    const [row] = itemRows([[a[0]!], []]);
    expect(row).toMatchObject({ outcome: 'ungraded', cells: [{ id: '0' }, null] });
  });

  it('1,000 items of six subjects are filtered within 100 ms', async () => {
    const columns = Array.from({ length: 6 }, (_, c) =>
      Array.from({ length: 1000 }, (__, i) =>
        sampleItem(i, {
          correct: (i * (c + 3)) % 7 < 3,
          question: `q${i} `.repeat(20),
          output: `o${i} `.repeat(40),
        }),
      ),
    );
    const many = itemRows(columns);
    filteredItems(many, { ...none, text: 'o999' });
    const took = await leastTime(200, () => {
      expect(filteredItems(many, { ...none, text: 'o998 q998' })).toHaveLength(1);
      expect(filteredItems(many, { ...none, show: 'differ', text: '/o9\\d+/' }).length).toBeGreaterThan(10);
    });
    expect(took).toBeLessThan(200);
  });
});
