import { describe, expect, it } from 'vitest';
import type { Ranked } from '../../../../src-main/contract/evaluation/comparison.ts';
import { judgeStored } from '../../../../src-main/services/evaluations/storedScores.ts';
import { openWritable } from '../../../../src-main/store/database.ts';
import { logTicks } from '../../../../src-renderer/charts/scores/scorePoints.ts';
import {
  comparedRuns,
  comparedSubjects,
  intervalBars,
  itemPairs,
  scorePoints,
  scoreUnit,
} from '../../../../src-renderer/features/evaluate/compare/comparedSubjects.ts';
import { insertScoredRuns } from '../../../support/evaluation/scoredRuns.ts';
import { sampleItem } from '../../../support/sampleEvaluation.ts';

describe('subjects of a comparison', async () => {
  const database = openWritable(':memory:');
  const { runs, evaluations } = insertScoredRuns(database);
  const runOf = (id: string) => runs.find((run) => run.id === id);
  const ids = evaluations.filter(({ benchmark }) => benchmark === 'gsm8k').map(({ id }) => id);
  const stored = { database, project: 'default' };
  const outcome = await judgeStored(stored, ids, () => null);

  it('are settings with the scores of their seeds, and single runs', () => {
    const arms = comparedSubjects(outcome.arms!, outcome.evaluations, runOf);
    const idlora = arms.find(({ ranked }) => ranked.name === 'idlora')!;
    expect(idlora.evaluations.map(({ subject }) => subject)).toEqual(['idlora-seed-0', 'idlora-seed-1']);
    expect(idlora.run?.config.adapter.method).toBe('idlora');
    expect(arms.map(({ evaluations: own }) => own.length).sort()).toEqual([1, 1, 1, 2, 2]);
    const singles = comparedSubjects(outcome, outcome.evaluations, runOf);
    for (const { ranked, evaluations: own } of singles)
      expect([ranked.score, ranked.name.replace('tiny (base)', 'base')]).toEqual([
        own[0]!.score,
        own[0]!.subject,
      ]);
    expect(comparedRuns(outcome.evaluations, runOf)).toHaveLength(6);
  });

  it('stand at their parameters, the base model across, in percent', () => {
    const arms = comparedSubjects(outcome.arms!, outcome.evaluations, runOf);
    const { points, across, without } = scorePoints(arms, 'accuracy');
    expect(points.map(({ name, trainable }) => [name, trainable])).toContainEqual(['idlora', 24_576]);
    expect(across.map(({ name }) => name)).toEqual(['tiny (base)']);
    expect(without).toEqual([]);
    const base = evaluations.find(({ id }) => id === 'gsm8k-base')!;
    expect(across[0]!.score).toBeCloseTo(100 * base.score, 10);
    expect(across[0]!.low).toBeCloseTo(100 * base.interval[0], 10);
    // An adapter from elsewhere: its parameters are not known.
    const foreign = { ...arms[0]!, run: undefined, evaluations: [{ ...base, subject: '/adapters/x' }] };
    expect(scorePoints([foreign], 'accuracy').without).toEqual([foreign.ranked.name]);
  });

  it('have intervals on one scale', () => {
    const ranked = (score: number | null, low: number, high: number) => ({
      ranked: { score, interval: [low, high] } as Ranked,
      evaluations: [],
      run: undefined,
    });
    expect(intervalBars([ranked(0.5, 0.25, 0.75), ranked(null, 0, 1), ranked(0.3, 0.25, 0.35)])).toEqual([
      [0, 50, 100],
      null,
      [0, expect.closeTo(10, 6), expect.closeTo(20, 6)],
    ]);
    expect(intervalBars([ranked(1, 1, 1)])).toEqual([[0, 0, 0]]);
  });

  it('meet item by item: less loss is better, what one lacks is left out', () => {
    const row = (id: string, first: number | null, second: number | null) => ({
      id,
      cells: [first, second].map((loss, i) =>
        sampleItem(i, { loss, state: loss === null ? 'failed' : 'graded' }),
      ),
    });
    const rows = [row('a', 1, 2), row('b', 3, 1), row('c', 2, 2), row('d', null, 1), row('e', 1, 4)];
    expect(itemPairs(rows, scoreUnit('mean_loss'))).toEqual({
      pairs: [
        { id: 'a', first: 1, second: 2 },
        { id: 'b', first: 3, second: 1 },
        { id: 'c', first: 2, second: 2 },
        { id: 'e', first: 1, second: 4 },
      ],
      firstBetter: 2,
      secondBetter: 1,
      alike: 1,
    });
    const shares = [{ id: 'a', cells: [sampleItem(0, { share: 0.5 }), sampleItem(0, { share: 0.75 })] }];
    expect(itemPairs(shares, scoreUnit('mean_score'))).toMatchObject({
      pairs: [{ id: 'a', first: 50, second: 75 }],
      firstBetter: 0,
      secondBetter: 1,
    });
  });

  it('tell differences with their sign, and ticks at round numbers', () => {
    expect(scoreUnit('accuracy').signed(-2.25)).toBe('−2.3');
    expect(scoreUnit('mean_loss').signed(0.1)).toBe('+0.100');
    expect(logTicks(15_000, 160_000)).toEqual([20_000, 50_000, 100_000]);
    expect(logTicks(21_000, 31_000)).toEqual([21_000, 31_000]);
  });
});
