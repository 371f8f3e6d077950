import { describe, expect, it } from 'vitest';
import { publishedClaims, publishedCounts, publishedTables } from '../../src-main/budget/paper.ts';
import { recompute, recomputeClaim } from '../../src-main/budget/recompute.ts';

describe.each(publishedTables)('$title', ({ name }) => {
  const entries = publishedCounts.filter(({ table }) => table === name);
  it('has its rows', () => {
    const rows = { table1: 10, table2: 12, table3: 5, table6: 25, table7: 8 };
    expect(entries.length).toBe(rows[name]);
  });
  it.each(entries)('$model $method $settings.rank: $printed $unit', (entry) => {
    const { agreement, value } = recompute(entry);
    // The paper cuts 10.49 to 10.4; everything else is rounded.
    const isCut = entry.table === 'table6' && entry.method === 'idlora' && entry.settings.rank === 16;
    expect(agreement, String(value)).toBe(isCut ? 'cut' : 'rounded');
  });
});

it('a rank that the paper does not state is the only one that gives the printed number', () => {
  for (const entry of publishedCounts.filter(({ rankIsInferred }) => rankIsInferred)) {
    const fitting = Array.from({ length: 128 }, (_, i) => i + 1).filter(
      (rank) => recompute({ ...entry, settings: { ...entry.settings, rank } }).agreement === 'rounded',
    );
    expect(fitting, `${entry.table} ${entry.model} ${entry.method}`).toEqual([entry.settings.rank]);
  }
});

it('statements of the text follow from the printed shares; the counts themselves say less', () => {
  const found = publishedClaims.map((claim) => {
    const { fromPrinted, fromCounts, agreement } = recomputeClaim(claim);
    return [claim.source, fromPrinted.toFixed(1), fromCounts.toFixed(1), agreement.fromPrinted];
  });
  expect(found).toEqual([
    ['Figure 1 (c)', '5.4', '5.2', 'rounded'],
    ['abstract, section 1', '45.6', '41.6', 'rounded'],
    ['abstract', '54.4', '58.4', 'rounded'],
    ['section 5.2', '46.7', '42.5', 'differs'],
  ]);
});
