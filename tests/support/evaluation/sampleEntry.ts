import { scoringEntrySchema, type ScoringEntry } from '../../../src-main/contract/evaluation/scoring.ts';

/** An entry of the queue of what is scored. */
export function sampleEntry(id: string, more: Partial<ScoringEntry> = {}): ScoringEntry {
  return {
    ...scoringEntrySchema.parse({
      id,
      project: 'default',
      task: { kind: 'score', input: { model: 'm', benchmark: 'exact_match', data: { dataset: 'd' } } },
      title: id,
      batch: null,
      after: [],
      state: 'waiting',
      seconds: null,
      made: [],
      error: null,
      createdAt: '2026-01-01T00:00:00.000Z',
      startedAt: null,
      endedAt: null,
    }),
    ...more,
  };
}
