import { z } from 'zod';
import { reference } from '../inputs.ts';

/** What a person says of two answers to one question without knowing whose they are. */

export const preferenceChoiceSchema = z.enum(['a', 'b', 'tie', 'both_bad']);
export type PreferenceChoice = z.infer<typeof preferenceChoiceSchema>;

export const preferenceVoteSchema = z.object({
  /** Id of the item whose answers were judged. */
  item: z.string().min(1),
  choice: preferenceChoiceSchema,
  /** By which the sides were drawn on which the answers stood. */
  seed: z.number().int().min(0),
  createdAt: z.string(),
});
export type PreferenceVote = z.infer<typeof preferenceVoteSchema>;

/** Two evaluations on the same items. */
const pair = { a: reference, b: reference };

export const preferenceProcedures = {
  /** The first vote first. */
  'preferences.list': { input: z.object(pair), output: z.array(preferenceVoteSchema) },
  /** Keeps a vote in place of an earlier one on the same item; null takes it back. */
  'preferences.keep': {
    input: z.object({
      ...pair,
      item: z.string().min(1).max(1000),
      choice: preferenceChoiceSchema.nullable(),
      seed: z.number().int().min(0),
    }),
    output: z.array(preferenceVoteSchema),
  },
} as const;
