import { z } from 'zod';
import { reference } from '../inputs.ts';

/** What a person says of graded answers. The stored grades stay: scores and verdicts are told with and without it. */

export const overrideGradeSchema = z.enum(['pass', 'fail']);
export type OverrideGrade = z.infer<typeof overrideGradeSchema>;

export const overrideSchema = z.object({
  /** In the order in which they were made. */
  id: z.number().int(),
  /** Id of the item whose answer was graded. */
  item: z.string().min(1),
  /** Null: the stored grade stands; a comment alone changes no score. */
  grade: overrideGradeSchema.nullable(),
  comment: z.string(),
  /** Whether the person saw whose answer it was. */
  seen: z.enum(['names', 'blind']),
  createdAt: z.string(),
  /** When it was taken back; null: it was not. */
  undoneAt: z.string().nullable(),
});
export type Override = z.infer<typeof overrideSchema>;

const overridesSchema = z.object({
  /** One an item: what holds for the answers that are there. */
  current: z.array(overrideSchema),
  /** All that was said of these answers, the newest first, with what was taken back or replaced. */
  history: z.array(overrideSchema),
  /** The score with the grades that a person gave; null: none changes it. The stored score stands in the evaluation. */
  score: z
    .object({
      score: z.number(),
      interval: z.tuple([z.number(), z.number()]),
      /** Items whose grade is another one, and how many of them were graded without names. */
      changed: z.number().int(),
      blind: z.number().int(),
    })
    .nullable(),
});
export type Overrides = z.infer<typeof overridesSchema>;

const item = z.string().min(1).max(1000);

export const overrideProcedures = {
  /** What a person said of the answers that an evaluation has: not what was said of another answer to an item. */
  'overrides.list': { input: z.object({ evaluation: reference }), output: overridesSchema },
  /** In place of what was said before; no grade and no comment: the stored grade stands again. */
  'overrides.keep': {
    input: z.object({
      evaluation: reference,
      item,
      grade: overrideGradeSchema.nullable(),
      comment: z.string().max(10_000).default(''),
      seen: overrideSchema.shape.seen,
    }),
    output: overridesSchema,
  },
  /** Takes back what was said last of an item: what was said before holds again. */
  'overrides.undo': { input: z.object({ evaluation: reference, item }), output: overridesSchema },
} as const;
