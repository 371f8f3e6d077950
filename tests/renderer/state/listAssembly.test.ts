import { expect, it } from 'vitest';
import { ListAssembly } from '../../../src-renderer/state/listAssembly.ts';

interface Thing {
  id: string;
  createdAt: string;
  words: string;
}
const project = 'default';
/** Thing `n`, the greater the newer. */
const thing = (n: number, words = ''): Thing => ({
  id: `t${n}`,
  createdAt: `2026-01-01T00:00:${String(n).padStart(2, '0')}`,
  words,
});
const things = (from: number, to: number): Thing[] =>
  Array.from({ length: from - to + 1 }, (_, i) => thing(from - i));
const slice = (from: number, to: number, total: number) => ({
  entries: things(from, to),
  total,
  next: to === 1 ? null : { project, createdAt: thing(to).createdAt, row: to },
});
const list = () => new ListAssembly<Thing>(({ id }) => id);
const ids = (of: ListAssembly<Thing>) => of.entries.map(({ id }) => Number(id.slice(1)));

it('shows the first slice at once, grows in few steps, and is whole with the last', () => {
  const of = list();
  const seen = new Set<unknown>();
  of.begin(slice(30, 29, 30), { isSame: false });
  expect(ids(of)).toEqual([30, 29]);
  expect([of.total, of.isWhole]).toEqual([30, false]);
  for (let from = 28; from >= 2; from -= 2) {
    of.add(slice(from, from - 1, 30));
    seen.add(of.entries);
  }
  expect(seen.size).toBeLessThan(4);
  expect(ids(of)).toEqual(things(30, 1).map((_, i) => 30 - i));
  expect([of.total, of.isWhole]).toEqual([30, true]);
});

it('keeps what events say of entries that a slice brings later', () => {
  const of = list();
  of.begin(slice(6, 5, 6), { isSame: false });
  of.put(thing(2, 'changed'));
  of.put(thing(6, 'changed'));
  of.removeOf('t4');
  of.put(thing(7, 'new'));
  of.removeOf('t3');
  of.put(thing(3, 'brought back'));
  of.add(slice(4, 3, 6));
  of.add(slice(2, 1, 6));
  expect(of.entries.map(({ id, words }) => `${id} ${words}`.trim())).toEqual([
    't7 new',
    't6 changed',
    't5',
    't3 brought back',
    't2 changed',
    't1',
  ]);
  expect(of.total).toBe(6);
});

it('lets nothing vanish while it is loaded anew, and drops what is gone at the end', () => {
  const of = list();
  of.begin(slice(6, 1, 6), { isSame: true });
  of.begin(slice(8, 7, 5), { isSame: true });
  expect(ids(of)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
  of.add({ entries: [thing(5), thing(4), thing(1)], total: 5, next: null });
  expect(ids(of)).toEqual([8, 7, 5, 4, 1]);
  expect(of.total).toBe(5);
});

it('shows nothing of another project', () => {
  const of = list();
  of.begin(slice(6, 1, 6), { isSame: true });
  of.begin(slice(9, 8, 4), { isSame: false });
  expect(ids(of)).toEqual([9, 8]);
});
