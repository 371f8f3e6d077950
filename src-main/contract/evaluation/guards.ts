import { z } from 'zod';
import { comparisonSchema } from './comparison.ts';
import { reference, scoringInput } from '../inputs.ts';
import { evaluationSchema } from '../results.ts';

/** What a training cost: forgetting, changed refusals, and overlap of what was trained on with what is scored. */

/** One half of a refusal benchmark before and after. */
const refusalHalf = z.object({
  /** Share of prompts that are refused, before and after. */
  before: z.number(),
  after: z.number(),
  comparison: comparisonSchema,
  sentence: z.string(),
});

export const guardSchema = z.object({
  /** Before: the base model; after: the run. */
  before: evaluationSchema,
  after: evaluationSchema,
  /** `a` is the base model, `b` the run; p values are corrected over all guards that were asked together. */
  comparison: comparisonSchema,
  /** What it comes to, in plain words. */
  sentence: z.string(),
  /** Of a refusal benchmark; null: of another, or the half has no prompts. */
  refusal: z.object({ unsafe: refusalHalf.nullable(), safe: refusalHalf.nullable() }).nullable(),
  /** Items of which a stretch of 13 words, or the whole, stands in the rows that were trained on; null: not known. */
  overlap: z
    .object({
      items: z.number().int(),
      sameRows: z.number().int(),
      of: z.number().int(),
      sentence: z.string(),
    })
    .nullable(),
  /** The kept checkpoints, in their order; empty: not asked for. */
  checkpoints: z.array(
    z.object({ step: z.number().int(), evaluation: evaluationSchema, isBest: z.boolean() }),
  ),
  /** Which checkpoint is best, and whether it is told apart from the run's own; null: not asked for. */
  best: z.string().nullable(),
});
export type Guard = z.infer<typeof guardSchema>;

export const guardsInput = z.object({
  run: reference,
  guards: z.array(scoringInput).min(1).max(12),
  /** Also each kept checkpoint. */
  checkpoints: z.boolean().default(false),
});

export const guardProcedures = {
  /**
   * Scores the base model and a run by each guard, where that is not stored yet, and says what changed; progress of the
   * evaluations' tasks.
   */
  'guards.check': {
    input: guardsInput,
    output: z.object({ run: z.string(), base: z.string(), guards: z.array(guardSchema) }),
  },
} as const;
