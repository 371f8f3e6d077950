import { expect, it } from 'vitest';
import { asksFor, endOf, waitMs } from '../../../../src-renderer/features/evaluate/jobs.svelte.ts';
import { sampleEntry } from '../../../support/evaluation/sampleEntry.ts';

it('knows what was asked for by what was said, wherever its fields stand', () => {
  const entry = sampleEntry('a');
  expect(
    asksFor(entry, 'score', { data: { dataset: 'd' }, benchmark: 'exact_match', shots: undefined }),
  ).toBe(true);
  // What was not said is as usual: no limit is one.
  expect(asksFor(entry, 'score', { benchmark: 'exact_match', limit: null })).toBe(true);
  for (const other of [{ benchmark: 'contains' }, { data: { path: 'd' } }, { limit: 5 }, { chat: true }])
    expect(asksFor(entry, 'score', other)).toBe(false);
  expect(asksFor(entry, 'compare', { benchmark: 'exact_match' })).toBe(false);
  const runs = sampleEntry('b', {
    task: {
      kind: 'compare',
      input: { benchmark: 'gsm8k', data: null, limit: null, seed: 1, runs: ['x', 'y'] },
    },
  });
  expect(asksFor(runs, 'compare', { runs: ['x', 'y'] })).toBe(true);
  expect(asksFor(runs, 'compare', { runs: ['x'] })).toBe(false);
});

it('adds up what stands before an entry, without what waits for a training', () => {
  const [first, trained, last] = [
    sampleEntry('first', { seconds: 60 }),
    sampleEntry('trained', { seconds: 1000, after: ['run'] }),
    sampleEntry('last', { seconds: 5 }),
  ] as const;
  const waiting = [first, trained, last];
  expect(waiting.map((entry) => waitMs(entry, waiting, [10_000]))).toEqual([10_000, 70_000, 70_000]);
  expect(waitMs(last, waiting, [null])).toBeNull();
  // With two at once each takes the place of the first that ends.
  expect(waiting.map((entry) => waitMs(entry, waiting, [30_000, 10_000]))).toEqual([10_000, 30_000, 30_000]);
  expect(waitMs(last, waiting, [null, 10_000])).toBe(70_000);
  expect(waitMs(last, [sampleEntry('unknown'), last], [])).toBeNull();
});

it('says how long what was done took, or that it was there', () => {
  expect(endOf(sampleEntry('a', { endedAt: '2026-01-01T00:02:00.000Z' }))).toBe('was scored before');
  const took = { startedAt: '2026-01-01T00:00:00.000Z', endedAt: '2026-01-01T00:02:00.000Z' };
  expect(endOf(sampleEntry('a', took))).toBe('took 2 min');
});
