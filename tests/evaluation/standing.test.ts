import { describe, expect, it } from 'vitest';
import { standings } from '../../src-main/evaluation/standing.ts';
import { sampleEvaluation } from '../support/sampleEvaluation.ts';

const anything = { benchmark: null, maxTrainable: null };
const sizes: Record<string, number | null> = { small: 1000, large: 9000, unknown: null };
const trainable = (id: string) => sizes[id] ?? null;
const scored = (run: string | null, score: number, rest = {}) =>
  sampleEvaluation({ runId: run, subject: run ?? 'base', score, ...rest });
/** The group that answers where all of them could. */
const standing = (...args: Parameters<typeof standings>) => standings(...args)[0] ?? [];
const subjects = (...args: Parameters<typeof standing>) => standing(...args).map(({ subject }) => subject);

describe('the standing of a project', () => {
  it('is empty without an adapter that was scored', () => {
    expect(standing([], anything, trainable)).toEqual([]);
    expect(standing([scored(null, 0.9)], anything, trainable)).toEqual([]);
  });

  it('puts the highest accuracy and the lowest perplexity first', () => {
    const accuracy = [scored(null, 0.1), scored('small', 0.3), scored('large', 0.6)];
    expect(subjects(accuracy, anything, trainable)).toEqual(['large', 'small', 'base']);
    const loss = { benchmark: 'perplexity', metric: 'perplexity' } as const;
    const perplexity = [scored('small', 12, loss), scored('large', 9, loss), scored(null, 40, loss)];
    expect(subjects(perplexity, anything, trainable)).toEqual(['large', 'small', 'base']);
  });

  it('leaves out adapters over the limit, and those whose size is not known', () => {
    const entries = [scored('small', 0.3), scored('large', 0.6), scored('unknown', 0.9), scored(null, 0.1)];
    expect(subjects(entries, { benchmark: null, maxTrainable: 5000 }, trainable)).toEqual(['small', 'base']);
  });

  it('leads with the smaller of two adapters with equal scores', () => {
    expect(subjects([scored('large', 0.5), scored('small', 0.5)], anything, trainable)).toEqual([
      'small',
      'large',
    ]);
  });

  it('never mixes scores on different items or of different bases, and prefers items on which adapters meet', () => {
    const entries = [
      scored('small', 0.3, { createdAt: '2026-01-01' }),
      scored('large', 0.2, { createdAt: '2026-01-02' }),
      scored('large', 0.9, { createdAt: '2026-01-03', dataHash: 'other' }),
      scored('large', 0.9, { createdAt: '2026-01-04', base: 'before its config.json changed' }),
    ];
    expect(subjects(entries, anything, trainable)).toEqual(['small', 'large']);
    // The newer groups stand behind it: the base model could still join their adapters.
    expect(standings(entries, anything, trainable).map((group) => group.length)).toEqual([2, 1, 1]);
  });

  it('lets scores on one model meet that the library has twice', () => {
    const base = 'the same weights and files';
    const entries = [
      scored('small', 0.3, { modelId: 'copy', base }),
      scored('large', 0.6, { modelId: 'in place', base }),
      scored('unknown', 0.9, { modelId: 'in place' }),
    ];
    expect(subjects(entries, anything, trainable)).toEqual(['large', 'small']);
  });

  it('takes the newest score of a subject, and the benchmark that the question names', () => {
    const entries = [
      scored('small', 0.9, { createdAt: '2026-01-01' }),
      scored('small', 0.1, { createdAt: '2026-01-02' }),
      scored('large', 0.5, { createdAt: '2026-01-01' }),
    ];
    expect(standing(entries, anything, trainable).map(({ score }) => score)).toEqual([0.5, 0.1]);
    expect(standing(entries, { benchmark: 'perplexity', maxTrainable: null }, trainable)).toEqual([]);
  });
});
