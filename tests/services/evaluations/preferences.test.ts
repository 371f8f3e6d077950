import { expect, it } from 'vitest';
import type { ServiceContext } from '../../../src-main/services/context.ts';
import { preferenceHandlers } from '../../../src-main/services/evaluations/preferences.ts';
import { openWritable } from '../../../src-main/store/database.ts';
import { ensureProject } from '../../../src-main/store/projects.ts';
import { insertEvaluation } from '../../../src-main/store/results.ts';
import { sampleEvaluation, sampleKeys } from '../../support/sampleEvaluation.ts';

function opened() {
  const database = openWritable(':memory:');
  ensureProject(database, 'default');
  for (const id of ['x', 'y']) insertEvaluation(database, sampleEvaluation({ id }), sampleKeys(id), []);
  const context = { database, project: 'default', writable: () => database } as unknown as ServiceContext;
  return preferenceHandlers(context);
}

it('keeps one vote an item, the same pair in either order, and takes it back', () => {
  const handlers = opened();
  const keep = handlers['preferences.keep'];
  keep({ a: 'x', b: 'y', item: '1', choice: 'a', seed: 2 ** 31 });
  keep({ a: 'y', b: 'x', item: '2', choice: 'a', seed: 5 });
  keep({ a: 'x', b: 'y', item: '3', choice: 'tie', seed: 5 });
  const choices = (a: string, b: string) =>
    Object.fromEntries(handlers['preferences.list']({ a, b }).map(({ item, choice }) => [item, choice]));
  expect(choices('x', 'y')).toEqual({ 1: 'a', 2: 'b', 3: 'tie' });
  expect(choices('y', 'x')).toEqual({ 1: 'b', 2: 'a', 3: 'tie' });
  expect(handlers['preferences.list']({ a: 'x', b: 'y' })[0]).toMatchObject({ seed: 2 ** 31 });
  keep({ a: 'x', b: 'y', item: '1', choice: 'both_bad', seed: 5 });
  keep({ a: 'x', b: 'y', item: '2', choice: null, seed: 5 });
  expect(choices('x', 'y')).toEqual({ 1: 'both_bad', 3: 'tie' });
});

it('refuses what is not there, and a score against itself', () => {
  const handlers = opened();
  expect(() => handlers['preferences.list']({ a: 'x', b: 'nope' })).toThrow(/no evaluation "nope"/);
  expect(() => handlers['preferences.list']({ a: 'x', b: 'x' })).toThrow(/against itself/);
});
