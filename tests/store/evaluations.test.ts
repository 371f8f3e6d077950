import { expect, it } from 'vitest';
import { openWritable } from '../../src-main/store/database.ts';
import { ensureProject } from '../../src-main/store/projects.ts';
import { findEvaluation, insertEvaluation, listEvaluations } from '../../src-main/store/results.ts';
import { lossSums } from '../../src-main/statistics/scores.ts';
import { sampleEvaluation, sampleKeys } from '../support/sampleEvaluation.ts';

it('finds the interval of a score anew from what is stored, and keeps that of an old perplexity', () => {
  const database = openWritable(':memory:');
  ensureProject(database, 'default');
  const perplexity = { benchmark: 'perplexity', metric: 'perplexity', n: 40 } as const;
  const sums = lossSums(Array.from({ length: 40 }, (_, i) => ({ lossSum: 20 + (i % 3), tokens: 10 })));
  for (const [key, rest] of [
    ['old share', { n: 20, score: 0, interval: [-0.08, 0.08] }],
    ['sums', { ...perplexity, score: 8.1, interval: [0, 1], sums }],
    ['old perplexity', { ...perplexity, score: 8.1, interval: [8, 8.2] }],
  ] as const) {
    const { sums: kept, ...evaluation } = sampleEvaluation({ ...rest, interval: [...rest.interval] });
    // An older studio wrote no sums.
    insertEvaluation(
      database,
      (kept ? { ...evaluation, sums: kept } : evaluation) as typeof evaluation & { sums: null },
      sampleKeys(key),
      [],
    );
  }
  const shown = (key: string) =>
    findEvaluation(database, 'default', key)!.interval.map((bound) => bound.toFixed(2));
  expect(shown('old share')).toEqual(['0.00', '0.16']);
  expect(shown('sums')).toEqual(['7.93', '8.37']);
  expect(shown('old perplexity')).toEqual(['8.00', '8.20']);
  expect(
    listEvaluations(database, 'default')
      .map(({ interval }) => interval[1].toFixed(2))
      .toSorted(),
  ).toEqual(['0.16', '8.20', '8.37']);
  database.writable.close();
});
