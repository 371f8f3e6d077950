import { z } from 'zod';
import { plainErrorSchema } from '../errors.ts';
import { evaluationInput, nothing, reference, scoringInput } from '../inputs.ts';
import { comparisonSchema, mostTogether } from './comparison.ts';
import { guardsInput } from './guards.ts';
import { judgmentInput } from './judgments.ts';
import { settlingSchema } from './settling.ts';

/**
 * Work that ends in scores, of all projects: one piece at a time has its turn, or one on each card on which no run of
 * the queue trains, where there are several. Kept in the database, so that a restart
 * goes on with it behind the items that are graded.
 */

/** Runs that are scored by the same, where they are not yet. */
export const comparisonInput = scoringInput.extend({ runs: z.array(reference).min(2).max(mostTogether) });

export const scoringTaskSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('score'), input: evaluationInput }),
  z.object({ kind: z.literal('compare'), input: comparisonInput }),
  /** The scores that `guards.check` needs: it answers at once then. */
  z.object({ kind: z.literal('guards'), input: guardsInput }),
  /** Has a judge model compare the answers of two evaluations. */
  z.object({ kind: z.literal('judge'), input: judgmentInput }),
]);
export type ScoringTask = z.infer<typeof scoringTaskSchema>;
export type ScoringKind = ScoringTask['kind'];

export const scoringEntrySchema = z.object({
  id: z.string(),
  project: z.string(),
  task: scoringTaskSchema,
  /** Who by what, in words. */
  title: z.string(),
  /** Asked for together under this key; null: alone. */
  batch: z.string().nullable(),
  /** Runs whose training is awaited: ids. */
  after: z.array(z.string()),
  state: z.enum(['waiting', 'running', 'done', 'failed']),
  /** What it takes by what the same took here; null: nothing like it was measured. */
  seconds: z.number().nullable(),
  /** What it made, in the order of its subjects: ids of evaluations. A judge makes none. */
  made: z.array(z.string()),
  error: plainErrorSchema.nullable(),
  createdAt: z.string(),
  startedAt: z.string().nullable(),
  endedAt: z.string().nullable(),
  /** Why it waits for something that does not come by itself, and what to do; null: it has its turn in time. */
  stalled: z.string().nullable().default(null),
});
export type ScoringEntry = z.infer<typeof scoringEntrySchema>;

/** What this version cannot read, say a kind of task that another one knows: kept, and never begun. */
export const unreadableEntrySchema = z.object({ id: z.string(), title: z.string(), reason: z.string() });

export const scoringQueueSchema = z.object({
  running: z.array(scoringEntrySchema),
  /** First to last; one that waits for a training lets those behind it pass. */
  waiting: z.array(scoringEntrySchema),
  /** The last ones that were done or failed, newest first. */
  ended: z.array(scoringEntrySchema),
  /** Set aside; `scoring.cancel` takes them out. */
  unreadable: z.array(unreadableEntrySchema).default([]),
});
export type ScoringQueue = z.infer<typeof scoringQueueSchema>;

export const mostQueuedAtOnce = 500;
const entry = z.string().min(1);

export const scoringProcedures = {
  'scoring.queue': { input: nothing, output: scoringQueueSchema },
  /**
   * Puts work at the end of the queue; what cannot be done is refused at once, and then nothing is put there. A subject
   * that waits for its training, or trains, is scored when that is done and no other run trains or waits; where there
   * are several cards, when one of them has no run.
   */
  'scoring.add': {
    input: z.object({
      tasks: z.array(scoringTaskSchema).min(1).max(mostQueuedAtOnce),
      batch: z.string().min(1).max(2000).nullable().default(null),
    }),
    /** One alone whose scores are there is done already. */
    output: z.array(scoringEntrySchema),
  },
  /** Ends what runs, takes out what waits, forgets what has ended; leaves alone what is not there. */
  'scoring.cancel': { input: z.object({ entries: z.array(entry).min(1) }), output: scoringQueueSchema },
  /** Moves what waits in front of another, or to the end. */
  'scoring.move': { input: z.object({ entry, before: entry.nullable() }), output: scoringQueueSchema },
  /** Puts what has failed at the end once more. */
  'scoring.retry': { input: z.object({ entry }), output: scoringQueueSchema },
  /**
   * Does what `evaluations.settle` plans: puts further items into this queue, or further seeds into that of the runs
   * and their scores on the same items behind them in this one.
   */
  'scoring.settle': {
    input: z.object({
      comparison: comparisonSchema,
      a: z.array(reference).min(1).max(100),
      b: z.array(reference).min(1).max(100),
    }),
    output: z.object({ plan: settlingSchema, entries: z.array(scoringEntrySchema) }),
  },
} as const;

/** Under which key that is queued which settles a pair. */
export function settlingBatch(a: readonly string[], b: readonly string[]): string {
  return `settle ${[...a].sort().join(',')} ${[...b].sort().join(',')}`;
}
